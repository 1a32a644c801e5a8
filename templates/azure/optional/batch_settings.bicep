        // The uploads, by identity: one job at a time in an instance. A message that failed comes again after a minute, and
        // goes to the other queue after thirty times.
        { name: 'COLDPRESS_UPLOADS', value: '@{uploads_container}' }
        { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
        { name: 'UPLOADS__blobServiceUri', value: uploads.properties.primaryEndpoints.blob }
        { name: 'UPLOADS__queueServiceUri', value: uploads.properties.primaryEndpoints.queue }
        { name: 'UPLOADS__credential', value: 'managedidentity' }
        { name: 'UPLOADS__clientId', value: identity.properties.clientId }
        { name: 'AzureFunctionsJobHost__extensions__queues__batchSize', value: '1' }
        { name: 'AzureFunctionsJobHost__extensions__queues__newBatchThreshold', value: '0' }
        { name: 'AzureFunctionsJobHost__extensions__queues__maxDequeueCount', value: '30' }
        { name: 'AzureFunctionsJobHost__extensions__queues__visibilityTimeout', value: '00:01:00' }
