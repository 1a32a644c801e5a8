
// Callers send a token of this tenant that was made out for this application registration, in version 2 as the issuer
// below says. Nobody else gets through to the function, so the function itself asks for no key.
resource auth 'Microsoft.Web/sites/config@2024-04-01' = {
  // checkov:skip=CKV_AZURE_13: This is the sign-in; the check looks for the version before, authsettings.
  // checkov:skip=CKV_AZURE_63: The check takes every config for the web server's, which has this.
  // checkov:skip=CKV_AZURE_65: The check takes every config for the web server's, which has this.
  // checkov:skip=CKV_AZURE_66: The check takes every config for the web server's, which has this.
  // checkov:skip=CKV_AZURE_80: The check takes every config for the web server's, which has this.
  // checkov:skip=CKV_AZURE_88: The check takes every config for the web server's, which has this.
  // checkov:skip=CKV_AZURE_222: The check takes every config for the app's own, which has this.
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401'
      excludedPaths: [@{open_paths}] // there the Functions host asks for a key of its own
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: '@{entra_client_id}'
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            'api://@{entra_client_id}'
            '@{entra_client_id}'
          ]
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
    }
  }
}
