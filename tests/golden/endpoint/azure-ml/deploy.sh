#!/bin/sh
# Makes or updates the endpoint with the Azure CLI and its extension `ml`, signed in by `az login`, in the function's
# resource group:
#     ./deploy.sh [RESOURCE_GROUP]
set -eu
cd "$(dirname "$0")"
GROUP=${1:-coldpress-on-weird-aws-region-name}
NAME=coldpress-on-weird-6140-endpoint
WORKSPACE=coldpress

az group create --name "$GROUP" --location swedencentral --output none
# Names of registries are the world's: the group's id makes this one different from everybody else's.
REGISTRY=coldpress$(az group show --name "$GROUP" --query id --output tsv | cksum | cut -d ' ' -f 1)
az acr show --name "$REGISTRY" --output none 2>/dev/null \
  || az acr create --resource-group "$GROUP" --name "$REGISTRY" --sku Basic --admin-enabled false --output none
az acr build --registry "$REGISTRY" --image "$NAME:latest" --platform linux/amd64 --timeout 3600 . >/dev/null
DIGEST=$(az acr repository show --name "$REGISTRY" --image "$NAME:latest" --query digest --output tsv)

az ml workspace show --resource-group "$GROUP" --name "$WORKSPACE" --output none 2>/dev/null \
  || az ml workspace create --resource-group "$GROUP" --name "$WORKSPACE" --location swedencentral --output none
az deployment group create --resource-group "$GROUP" --name endpoint --template-file main.bicep --output none --parameters \
  workspaceName="$WORKSPACE" registryName="$REGISTRY" image="$REGISTRY.azurecr.io/$NAME@$DIGEST" \
  imageVersion="$(printf '%s' "${DIGEST#sha256:}" | cut -c 1-12)"
# Requests go to a deployment once it is named as the one that gets them.
ENDPOINT=$(az deployment group show --resource-group "$GROUP" --name endpoint --query properties.outputs.endpointName.value --output tsv)
az ml online-endpoint update --resource-group "$GROUP" --workspace-name "$WORKSPACE" --name "$ENDPOINT" --traffic all=100 --output none
az deployment group show --resource-group "$GROUP" --name endpoint --query properties.outputs.url.value --output tsv
