        // Where the endpoint is, and which identity asks for tokens.
        { name: 'COLDPRESS_FALLBACK_URL', value: endpoint.properties.scoringUri }
