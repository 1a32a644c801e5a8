
// The model lies in a container of this resource group, where weights.sh puts it. The app may read there.
resource weightsAccount 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: '@{weights_account}'
}

resource weightsBlobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' existing = {
  parent: weightsAccount
  name: 'default'
}

resource weights 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' existing = {
  parent: weightsBlobs
  name: '@{weights_bucket}'
}

resource readWeights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(weights.id, identity.id, 'weights')
  scope: weights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    // Storage Blob Data Reader
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1')
  }
}
