
// The endpoint, which endpoint/main.bicep has made in this resource group, and which lets this app's identity in.
resource endpoint 'Microsoft.App/containerApps@2024-03-01' existing = {
  name: '@{endpoint}'
}

resource endpointAuth 'Microsoft.App/containerApps/authConfigs@2024-03-01' existing = {
  parent: endpoint
  name: 'current'
}
