        // The uploads, by identity.
        { name: 'COLDPRESS_UPLOADS', value: '@{uploads_container}' }
        { name: 'UPLOADS__blobServiceUri', value: uploads.properties.primaryEndpoints.blob }
        { name: 'UPLOADS__queueServiceUri', value: uploads.properties.primaryEndpoints.queue }
        { name: 'UPLOADS__credential', value: 'managedidentity' }
        { name: 'UPLOADS__clientId', value: identity.properties.clientId }
