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

// The endpoint, which endpoint/main.bicep has made in this resource group, and which lets this app's identity in.
resource endpoint 'Microsoft.App/containerApps@2024-03-01' existing = {
  name: 'coldpress-digits-endpoint'
}

resource endpointAuth 'Microsoft.App/containerApps/authConfigs@2024-03-01' existing = {
  parent: endpoint
  name: 'current'
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
        { name: 'AzureFunctionsJobHost__functionTimeout', value: '00:00:30' }
        { name: 'AzureWebJobsDisableHomepage', value: 'true' }
        { name: 'COLDPRESS_AUTH_LEVEL', value: 'FUNCTION' }
        // Where the endpoint is, whom tokens for it are made out for, and which identity asks for one.
        { name: 'COLDPRESS_FALLBACK_URL', value: 'https://${endpoint.properties.configuration.ingress.fqdn}' }
        {
          name: 'COLDPRESS_FALLBACK_AUDIENCE'
          value: 'api://${endpointAuth.properties.identityProviders.azureActiveDirectory.registration.clientId}'
        }
        { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
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
