        { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
