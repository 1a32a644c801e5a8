#!/bin/sh
# Has Event Grid tell the function of each new upload, once its code is deployed:
#     ./events.sh RESOURCE_GROUP APP_NAME TOPIC_NAME
set -eu
cd "$(dirname "$0")"

# The Functions host makes the key that events.bicep looks up when it first starts with the blob trigger.
tries=30
until az functionapp keys list --resource-group "$1" --name "$2" --query "contains(keys(systemKeys), 'blobs_extension')" --output tsv | grep -q true; do
    tries=$((tries - 1))
    test $tries -gt 0 || { echo "The function app $2 has not started; look at its log and run this again." >&2; exit 1; }
    sleep 10
done
az deployment group create --resource-group "$1" --name events --template-file events.bicep --parameters appName="$2" topicName="$3" --output none
