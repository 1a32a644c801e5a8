
// What is uploaded to `@{uploads_container}/@{input_prefix}` is scored; the answer goes to `@{uploads_container}/@{output_prefix}`.
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
  name: '@{uploads_container}'
  properties: {
    publicAccess: 'None'
  }
}

// What a blob trigger asks for (learn.microsoft.com/azure/azure-functions/functions-bindings-storage-blob-trigger): to
// read and write blobs, and a queue for those that failed five times; on the host's storage a queue of what is to do.
resource ownUploads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploads.id, identity.id, roles.storageBlobDataOwner)
  scope: uploads
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataOwner)
  }
}

resource queueFailures 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(uploads.id, identity.id, roles.storageQueueDataContributor)
  scope: uploads
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataContributor)
  }
}

resource queueWork 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, roles.storageQueueDataContributor)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageQueueDataContributor)
  }
}

// The events of that account. Who hears of them is in events.bicep, which needs the deployed function.
resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: 'evgt-${token}'
  location: location
  tags: tags
  properties: {
    source: uploads.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}
