#!/bin/sh
# Makes or updates the endpoint with the Google Cloud CLI (550 or later), signed in by `gcloud auth login`:
#     ./deploy.sh [PROJECT]
# Nobody may ask it until the function's deploy.sh, in the folder above, gives that right to the function's account.
set -eu
cd "$(dirname "$0")"
PROJECT=${1:-$(gcloud config get-value project)}
: "${PROJECT:?name the project, or say gcloud config set project PROJECT}"
REGION=europe-west1
ENDPOINT=coldpress-digits-endpoint
IMAGE=europe-west1-docker.pkg.dev/$PROJECT/coldpress/coldpress-digits-endpoint:1
# Scaling to zero is in this version of the API and not in v1 yet.
API=https://$REGION-aiplatform.googleapis.com/v1beta1
PARENT=projects/$PROJECT/locations/$REGION

gcloud services enable --project="$PROJECT" --quiet \
  aiplatform.googleapis.com artifactregistry.googleapis.com cloudbuild.googleapis.com

# Asks the API; the answer, or what it says is wrong, goes to the output.
ask() {
  method=$1
  shift
  curl --silent --show-error --fail-with-body --request "$method" \
    --header "authorization: Bearer $(gcloud auth print-access-token)" --header 'content-type: application/json' "$@"
}

# Waits until an operation is over, and ends with what went wrong when something did.
finish() {
  operation=$(printf '%s' "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["name"])')
  while true; do
    state=$(ask GET "$API/$operation")
    case $(printf '%s' "$state" | python3 -c 'import json, sys; s = json.load(sys.stdin); print("failed" if "error" in s else s.get("done", False))') in
      True) break ;;
      failed)
        printf '%s\n' "$state" >&2
        exit 1
        ;;
    esac
    sleep 10
  done
}

if ! gcloud artifacts repositories describe coldpress --project="$PROJECT" --location="$REGION" >/dev/null 2>&1; then
  gcloud artifacts repositories create coldpress --project="$PROJECT" --location="$REGION" --repository-format=docker --quiet
fi
gcloud builds submit . --project="$PROJECT" --region="$REGION" --tag="$IMAGE" --timeout=3600s --quiet

# The image tells Vertex AI nothing about itself, so model.json does: its port, its routes and how it is known to be up.
sed "s|IMAGE|$IMAGE|" model.json >model.filled.json
finish "$(ask POST "$API/$PARENT/models:upload" --data @model.filled.json)"
rm model.filled.json
MODEL=$(gcloud ai models list --project="$PROJECT" --region="$REGION" --filter="displayName=$ENDPOINT" \
  --sort-by=~createTime --limit=1 --format='value(name)')

if ! ask GET "$API/$PARENT/endpoints/$ENDPOINT" >/dev/null 2>&1; then
  finish "$(ask POST "$API/$PARENT/endpoints?endpointId=$ENDPOINT" --data @endpoint.json)"
fi
before=$(gcloud ai endpoints describe "$ENDPOINT" --project="$PROJECT" --region="$REGION" --format='value(deployedModels[].id)')

# The new one gets every request as soon as it is up; what was there before goes then.
sed "s|MODEL|$PARENT/models/${MODEL##*/}|" deployment.json >deployment.filled.json
finish "$(ask POST "$API/$PARENT/endpoints/$ENDPOINT:deployModel" --data @deployment.filled.json)"
rm deployment.filled.json
for id in $(printf '%s' "$before" | tr ';,' '  '); do
  gcloud ai endpoints undeploy-model "$ENDPOINT" --project="$PROJECT" --region="$REGION" --deployed-model-id="$id" --quiet
done
echo "$PARENT/endpoints/$ENDPOINT"
