#!/bin/sh
# Uploads the model, unless it is there already: its name is its SHA-256. deploy.sh calls it.
set -eu
cd "$(dirname "$0")"
blob() { az storage blob "$@" --auth-mode login --account-name account --container-name models --name digits/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort; }

if [ "$(blob exists --query exists --output tsv)" != true ]; then
  blob upload --file "weights/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort" --output none
fi
