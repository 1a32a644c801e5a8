
@description('What the endpoint knows the app by, sent as a bearer token.')
@secure()
@minLength(1)
param fallbackToken string
