// One model behind one function app on the Flex Consumption plan. Written by `coldpress pack`, which writes it anew each
// time: put your choices into coldpress.toml. `deploy.sh` and `azd` both use it.
//
// There is no key and no connection string in it: the app has an identity of its own, and each of its rights is below.
targetScope = 'resourceGroup'

@description('Where everything lives.')
param location string = resourceGroup().location

@description('Makes names unique: two deployments in one resource group take two different ones.')
@maxLength(64) // as long as the Azure Developer CLI lets it be
param environmentName string = ''

var token = toLower(uniqueString(resourceGroup().id, environmentName, 'digits'))
var appName = 'coldpress-digits-${token}'
var tags = {
  'azd-env-name': environmentName
  'coldpress-model': 'digits'
  'coldpress-version': '1'
}

// Azure's built-in roles (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
var roles = {
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageQueueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
}

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${token}'
  location: location
  tags: tags
}

// Logs: of the host, and what the function prints. Written with the app's identity, not with the key in the
// connection string.
resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource publishMetrics 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, roles.monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
  }
}

// The host's own storage: the code package, its locks and the function's keys. No callers reach it.
resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_59: The plan reaches it without a virtual network; who may is decided by roles alone.
  // checkov:skip=CKV_AZURE_206: It holds a package that can be uploaded again, and locks; copies elsewhere cost money.
  // checkov:skip=CKV_AZURE_35: Likewise; a network rule would shut out the plan, which has no fixed addresses.
  // checkov:skip=CKV_AZURE_43: The name is st and 13 letters and digits, which the check cannot work out.
  name: 'st${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      defaultAction: 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: 'packages'
  properties: {
    publicAccess: 'None'
  }
}

// What the Functions host asks for on its own storage.
resource ownStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, roles.storageBlobDataOwner)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataOwner)
  }
}

// What is uploaded to `data/in/` is scored; the answer goes to `data/out/`.
resource uploads 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  // checkov:skip=CKV_AZURE_59: Whoever uploads needs no virtual network; who may is decided by roles alone.
  // checkov:skip=CKV_AZURE_206: Whether inputs are worth copies in another region is yours to decide: sku below.
  // checkov:skip=CKV_AZURE_35: Likewise; a network rule would shut out the plan, which has no fixed addresses.
  // checkov:skip=CKV_AZURE_43: The name is up and 13 letters and digits, which the check cannot work out.
  name: 'up${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      defaultAction: 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource uploadsBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: uploads
  name: 'default'
}

resource uploadsContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: uploadsBlobs
  name: 'data'
  properties: {
    publicAccess: 'None'
  }
}

// Event Grid puts the news of each upload into a queue, from which the function takes one at a time. What has failed too
// often goes to the other queue.
resource uploadsQueues 'Microsoft.Storage/storageAccounts/queueServices@2023-05-01' = {
  parent: uploads
  name: 'default'
}

resource uploadsQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: uploadsQueues
  name: 'coldpress-uploads'
}

resource poisonQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01' = {
  parent: uploadsQueues
  name: 'coldpress-uploads-poison'
}

// The app may read below the one prefix, and read, write and delete below the other
// (learn.microsoft.com/azure/storage/blobs/storage-auth-abac-examples).
resource readUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploadsContainer.id, identity.id, roles.storageBlobDataReader)
  scope: uploadsContainer
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataReader)
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read\'} AND NOT SubOperationMatches{\'Blob.List\'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringStartsWith \'in/\'))'
  }
}

resource writeScores 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploadsContainer.id, identity.id, roles.storageBlobDataContributor)
  scope: uploadsContainer
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
    conditionVersion: '2.0'
    condition: '((!(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read\'} AND NOT SubOperationMatches{\'Blob.List\'}) AND !(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write\'}) AND !(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action\'}) AND !(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete\'}) AND !(ActionMatches{\'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/move/action\'})) OR (@Resource[Microsoft.Storage/storageAccounts/blobServices/containers/blobs:path] StringStartsWith \'out/\'))'
  }
}

resource takeMessages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploads.id, identity.id, roles.storageQueueDataContributor)
  scope: uploads
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataContributor)
  }
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgt-${token}'
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: uploads.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

resource sendMessages 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploadsQueue.id, topic.id, roles.storageQueueDataMessageSender)
  scope: uploadsQueue
  properties: {
    principalId: topic.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataMessageSender)
  }
}

resource subscription 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'uploads'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: ['Microsoft.Storage.BlobCreated']
      subjectBeginsWith: '/blobServices/default/containers/data/blobs/in/'
    }
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: uploads.id
          queueName: uploadsQueue.name
          queueMessageTimeToLiveInSeconds: 604800 // a week
        }
      }
    }
    retryPolicy: {
      eventTimeToLiveInMinutes: 1440
      maxDeliveryAttempts: 30
    }
  }
  dependsOn: [sendMessages]
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  // checkov:skip=CKV_AZURE_225: Zones ask for always ready instances, which cost money; set zoneRedundant to have them.
  name: 'plan-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true // Linux
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  // checkov:skip=CKV_AZURE_17: Callers are known by a key, not by client certificates.
  // checkov:skip=CKV_AZURE_78: Flex Consumption has no FTP, and its password is switched off below all the same.
  // checkov:skip=CKV_AZURE_212: Flex Consumption has alwaysReady in its place, which coldpress.toml decides.
  // checkov:skip=CKV_AZURE_222: Callers come from the internet; give it a private endpoint if yours do not.
  // checkov:skip=CKV_AZURE_213: Health checks need an App Service plan; GET /v2/health/ready answers all the same.
  name: appName
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    siteConfig: {
      http20Enabled: true
      minTlsVersion: '1.2'
      appSettings: [
        // The host's storage, by identity.
        { name: 'AzureWebJobsStorage__blobServiceUri', value: storage.properties.primaryEndpoints.blob }
        { name: 'AzureWebJobsStorage__queueServiceUri', value: storage.properties.primaryEndpoints.queue }
        { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
        { name: 'AzureWebJobsStorage__clientId', value: identity.properties.clientId }
        // Logs, by identity too.
        { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: insights.properties.ConnectionString }
        {
          name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
          value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
        }
        { name: 'AzureFunctionsJobHost__functionTimeout', value: '01:30:00' }
        { name: 'AzureWebJobsDisableHomepage', value: 'true' }
        { name: 'COLDPRESS_AUTH_LEVEL', value: 'FUNCTION' }
        // The uploads, by identity: one job at a time in an instance. A message that failed comes again after a minute, and
        // goes to the other queue after thirty times.
        { name: 'COLDPRESS_UPLOADS', value: 'data' }
        { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
        { name: 'UPLOADS__blobServiceUri', value: uploads.properties.primaryEndpoints.blob }
        { name: 'UPLOADS__queueServiceUri', value: uploads.properties.primaryEndpoints.queue }
        { name: 'UPLOADS__credential', value: 'managedidentity' }
        { name: 'UPLOADS__clientId', value: identity.properties.clientId }
        { name: 'AzureFunctionsJobHost__extensions__queues__batchSize', value: '1' }
        { name: 'AzureFunctionsJobHost__extensions__queues__newBatchThreshold', value: '0' }
        { name: 'AzureFunctionsJobHost__extensions__queues__maxDequeueCount', value: '30' }
        { name: 'AzureFunctionsJobHost__extensions__queues__visibilityTimeout', value: '00:01:00' }
      ]
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}packages'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048 // 512, 2048 or 4096; CPU grows with it
        maximumInstanceCount: 100 // a ceiling on the bill
        alwaysReady: [ // kept started, and billed while idle
          { name: 'http', instanceCount: 1 }
          { name: 'function:score_upload', instanceCount: 1 }
        ]
      }
    }
  }
  dependsOn: [ownStorage, packages]
}

// Deployments sign in with Microsoft Entra; there are no publishing passwords.
resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource scm 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// Names of outputs begin with small letters: a deployment does not keep capitals.
output appName string = app.name
output url string = 'https://${app.properties.defaultHostName}'
output topicName string = topic.name
output uploadsAccount string = uploads.name
