#!/bin/sh
# Uploads the model, unless it is there already: its name is its SHA-256. deploy.sh calls it.
set -eu
cd "$(dirname "$0")"
blob() { az storage blob "$@" --auth-mode login --account-name @{weights_account} --container-name @{weights_bucket} --name @{weights_key}; }

if [ "$(blob exists --query exists --output tsv)" != true ]; then
  blob upload --file "weights/@{weights_file}" --output none
fi
