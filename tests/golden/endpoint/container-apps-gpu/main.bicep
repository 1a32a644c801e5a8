// The endpoint behind `digits` on Azure Container Apps with a serverless GPU. Written by `coldpress pack`, which writes it
// anew each time; deploy.sh builds the image first. It goes into the resource group of the function.
targetScope = 'resourceGroup'

@description('Where everything lives: a region with serverless GPUs, for which the subscription has quota.')
param location string = resourceGroup().location

@description('As in the function\'s main.bicep: by it both know the same identity.')
@maxLength(64)
param environmentName string = ''

@description('The registry that holds the image.')
param registryName string

@description('The image, with the registry\'s address.')
param image string

@description('The application registration that the function asks tokens for.')
param entraClientId string

var token = toLower(uniqueString(resourceGroup().id, environmentName, 'digits'))
var tags = {
  'coldpress-model': 'digits'
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

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-endpoint-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource environment 'Microsoft.App/managedEnvironments@2024-03-01' = {
  name: 'cae-${token}'
  location: location
  tags: tags
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: workspace.properties.customerId
        sharedKey: workspace.listKeys().primarySharedKey
      }
    }
    workloadProfiles: [
      { name: 'Consumption', workloadProfileType: 'Consumption' }
      { name: 'gpu', workloadProfileType: 'Consumption-GPU-NC8as-T4' }
    ]
  }
}

resource app 'Microsoft.App/containerApps@2024-03-01' = {
  name: 'coldpress-digits-endpoint'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'gpu'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: 8080
        transport: 'auto'
        allowInsecure: false
      }
      registries: [
        {
          server: registry.properties.loginServer
          identity: identity.id
        }
      ]
    }
    template: {
      terminationGracePeriodSeconds: 70
      containers: [
        {
          name: 'endpoint'
          image: image
          env: [
            { name: 'COLDPRESS_DRAIN_S', value: '60' }
          ]
          resources: {
            cpu: 8
            memory: '56Gi'
          }
          probes: [
            {
              type: 'Startup' // the port opens when the model is loaded and warm
              httpGet: {
                path: '/v2/health/ready'
                port: 8080
              }
              periodSeconds: 5
              failureThreshold: 240
            }
            {
              type: 'Readiness'
              httpGet: {
                path: '/v2/health/ready'
                port: 8080
              }
              periodSeconds: 5
            }
            {
              type: 'Liveness'
              httpGet: {
                path: '/v2/health/live'
                port: 8080
              }
              periodSeconds: 30
              timeoutSeconds: 5
            }
          ]
        }
      ]
      scale: {
        minReplicas: 0 // 0: none while nobody asks
        maxReplicas: 1 // a ceiling on the bill
        rules: [
          {
            name: 'requests'
            http: {
              metadata: {
                concurrentRequests: '32'
              }
            }
          }
        ]
      }
    }
  }
  dependsOn: [pull]
}

// Nobody gets through without a token that is made out for this application, and of all who can have one the function alone.
resource auth 'Microsoft.App/containerApps/authConfigs@2024-03-01' = {
  parent: app
  name: 'current'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      unauthenticatedClientAction: 'Return401'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: entraClientId
          openIdIssuer: '${az.environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: ['api://${entraClientId}', entraClientId]
          defaultAuthorizationPolicy: {
            allowedPrincipals: {
              identities: [function.properties.principalId]
            }
          }
        }
      }
    }
  }
}

output url string = 'https://${app.properties.configuration.ingress.fqdn}'
output audience string = 'api://${entraClientId}'
