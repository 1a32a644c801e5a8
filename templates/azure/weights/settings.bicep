        // Whose token the model is read with.
        { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
