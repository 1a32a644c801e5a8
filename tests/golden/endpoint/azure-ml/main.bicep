// The endpoint behind `on: {weird} ${AWS::Region} 'name'` as a managed online endpoint of Azure Machine Learning. Written by `coldpress pack`, which
// writes it anew each time; deploy.sh makes the workspace and the image first. It goes into the function's resource group.
targetScope = 'resourceGroup'

@description('The workspace\'s region.')
param location string = resourceGroup().location

@description('As in the function\'s main.bicep: by it both know the same identity.')
@maxLength(64)
param environmentName string = ''

@description('The workspace, in this resource group.')
param workspaceName string

@description('The registry that holds the image.')
param registryName string

@description('The image, with the registry\'s address.')
param image string

@description('A name for this image among the workspace\'s environments.')
param imageVersion string

var token = toLower(uniqueString(resourceGroup().id, environmentName, 'on-weird-aws-region-name'))
var tags = {
  'coldpress-model': 'on: {weird} \${AWS::Region} \u{2028} \'name\''
}
// Azure's built-in role that may pull images (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

// The function's identity, as the function's main.bicep declares it: whichever is deployed first makes it.
resource function 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${token}'
  location: location
}

// The endpoint's own, which may pull its image and nothing else.
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-endpoint-${token}'
  location: location
  tags: tags
}

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource pull 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(registry.id, identity.id, acrPull)
  scope: registry
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
  }
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-04-01' existing = {
  name: workspaceName
}

resource container 'Microsoft.MachineLearningServices/workspaces/environments@2024-04-01' = {
  parent: workspace
  name: 'coldpress-on-weird-6140-endpoint'
  properties: {}
}

resource version 'Microsoft.MachineLearningServices/workspaces/environments/versions@2024-04-01' = {
  parent: container
  name: imageVersion
  properties: {
    image: image
    osType: 'Linux'
    inferenceConfig: {
      livenessRoute: {
        path: '/v2/health/live'
        port: 8080
      }
      readinessRoute: {
        path: '/v2/health/ready'
        port: 8080
      }
      scoringRoute: {
        path: '/score'
        port: 8080
      }
    }
  }
}

// Names of online endpoints are the region's: the token makes this one different from everybody else's.
resource endpoint 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints@2024-04-01' = {
  parent: workspace
  name: 'cp-on-weird-aws-r-${token}'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    authMode: 'AADToken' // tokens of Microsoft Entra; there is no key that could leak
    publicNetworkAccess: 'Enabled'
  }
}

resource deployment 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments@2024-04-01' = {
  parent: endpoint
  name: 'all'
  location: location
  tags: tags
  sku: {
    name: 'Default'
    capacity: 1 // this kind has no way to none: a machine is billed as long as the deployment is there
  }
  properties: {
    endpointComputeType: 'Managed'
    environmentId: version.id
    instanceType: 'Standard_NC4as_T4_v3'
    environmentVariables: {
      COLDPRESS_DRAIN_S: '60'
    }
    requestSettings: {
      requestTimeout: 'PT60S'
      maxConcurrentRequestsPerInstance: 32
    }
    livenessProbe: {
      initialDelay: 'PT600S' // a large model may take its time to load, and its port opens then
      period: 'PT30S'
      timeout: 'PT5S'
    }
    readinessProbe: {
      initialDelay: 'PT10S'
      period: 'PT10S'
      timeout: 'PT5S'
      failureThreshold: 90
    }
    scaleSettings: {
      scaleType: 'Default'
    }
  }
  dependsOn: [pull]
}

// What the function may do: ask this one endpoint, and nothing else. No built-in role says so little.
resource asks 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'coldpress-asks')
  properties: {
    roleName: 'coldpress asks endpoints (${uniqueString(resourceGroup().id)})'
    description: 'May ask online endpoints.'
    type: 'CustomRole'
    assignableScopes: [resourceGroup().id]
    permissions: [
      {
        actions: [
          'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/score/action'
        ]
      }
    ]
  }
}

resource functionAsks 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(endpoint.id, function.id, asks.id)
  scope: endpoint
  properties: {
    principalId: function.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: asks.id
  }
}

output endpointName string = endpoint.name
output url string = endpoint.properties.scoringUri
output audience string = 'https://ml.azure.com'
