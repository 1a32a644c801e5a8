#!/bin/sh
# Uploads the model, unless it is there already: its name is its SHA-256.
#     ./weights.sh [BUCKET]
set -eu
cd "$(dirname "$0")"
BUCKET=${1:-models}
KEY=digits/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort

aws s3api head-object --bucket "$BUCKET" --key "$KEY" >/dev/null 2>&1 ||
  aws s3 cp "weights/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.ort" "s3://$BUCKET/$KEY"
