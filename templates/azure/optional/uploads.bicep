
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
@{upload_rights}
