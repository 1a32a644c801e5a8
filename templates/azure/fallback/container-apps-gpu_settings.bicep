        // Where the endpoint is, whom tokens for it are made out for, and which identity asks for one.
        { name: 'COLDPRESS_FALLBACK_URL', value: 'https://${endpoint.properties.configuration.ingress.fqdn}' }
        {
          name: 'COLDPRESS_FALLBACK_AUDIENCE'
          value: 'api://${endpointAuth.properties.identityProviders.azureActiveDirectory.registration.clientId}'
        }
