#!/bin/sh
# Uploads the model, unless it is there already: its name is its SHA-256. deploy.sh calls it.
set -eu
cd "$(dirname "$0")"

gcloud storage cp --no-clobber "weights/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort" "gs://models/digits/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort"
