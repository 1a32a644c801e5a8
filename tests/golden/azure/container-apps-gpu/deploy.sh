#!/bin/sh
# Makes or updates everything with the Azure CLI, signed in by `az login`:
#     ./deploy.sh [RESOURCE_GROUP]
set -eu
cd "$(dirname "$0")"
GROUP=${1:-coldpress-digits}

az group create --name "$GROUP" --location westeurope --output none
output() { az deployment group show --resource-group "$GROUP" --name main --query "properties.outputs.$1.value" --output tsv; }

az deployment group create --resource-group "$GROUP" --name main --template-file main.bicep --output none
APP_NAME=$(output appName)
az functionapp deployment source config-zip --resource-group "$GROUP" --name "$APP_NAME" --src function.zip --build-remote false --output none
echo "$(output url)"
