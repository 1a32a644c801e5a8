#!/bin/sh
# Makes or updates the endpoint with the Azure CLI, signed in by `az login`, in the function's resource group:
#     ./deploy.sh [RESOURCE_GROUP]
set -eu
cd "$(dirname "$0")"
GROUP=${1:-coldpress-digits}
NAME=coldpress-digits-endpoint

az group create --name "$GROUP" --location westeurope --output none
# Names of registries are the world's: the group's id makes this one different from everybody else's.
REGISTRY=coldpress$(az group show --name "$GROUP" --query id --output tsv | cksum | cut -d ' ' -f 1)
az acr show --name "$REGISTRY" --output none 2>/dev/null \
  || az acr create --resource-group "$GROUP" --name "$REGISTRY" --sku Basic --admin-enabled false --output none
az acr build --registry "$REGISTRY" --image "$NAME:latest" --platform linux/amd64 --timeout 3600 . >/dev/null
DIGEST=$(az acr repository show --name "$REGISTRY" --image "$NAME:latest" --query digest --output tsv)

# The application that tokens are made out for: it has no secret, and nobody signs in to it.
APP=$(az ad app list --display-name "$NAME" --query '[0].appId' --output tsv)
if [ -z "$APP" ]; then
  APP=$(az ad app create --display-name "$NAME" --sign-in-audience AzureADMyOrg --query appId --output tsv)
  az ad app update --id "$APP" --identifier-uris "api://$APP"
  az ad sp create --id "$APP" --output none
fi

az deployment group create --resource-group "$GROUP" --name endpoint --template-file main.bicep --output none \
  --parameters registryName="$REGISTRY" image="$REGISTRY.azurecr.io/$NAME@$DIGEST" entraClientId="$APP"
az deployment group show --resource-group "$GROUP" --name endpoint --query properties.outputs.url.value --output tsv
