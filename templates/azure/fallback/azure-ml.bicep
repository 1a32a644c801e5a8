
// The endpoint, which endpoint/main.bicep has made in this resource group, and which lets this app's identity in.
resource ml 'Microsoft.MachineLearningServices/workspaces@2024-04-01' existing = {
  name: 'coldpress'
}

resource endpoint 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2024-04-01' existing = {
  parent: ml
  name: '@{endpoint_short}-${token}'
}
