#!/bin/sh
# Makes or updates everything with the Google Cloud CLI (550 or later), signed in by `gcloud auth login`:
#     ./deploy.sh [PROJECT]
# The first time, the function gets every caller. From then on a new revision gets a share of them (canary.sh). What is
# there already stays; run it again when Google says that something it has just made is not there yet.
set -eu
cd "$(dirname "$0")"
PROJECT=${1:-$(gcloud config get-value project)}
: "${PROJECT:?name the project, or say gcloud config set project PROJECT}"
REGION=europe-west1
SERVICE=coldpress-digits
ACCOUNT=coldpress-digits@$PROJECT.iam.gserviceaccount.com

gcloud services enable --project="$PROJECT" --quiet \
  artifactregistry.googleapis.com cloudbuild.googleapis.com iam.googleapis.com run.googleapis.com
# The account that the function runs as. It has no role: the model is in the package, so it reads nothing.
if ! gcloud iam service-accounts describe "$ACCOUNT" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create coldpress-digits --project="$PROJECT" --display-name="Runs coldpress-digits"
fi

# The endpoint, which endpoint/deploy.sh has made: the function's account may call this one service, and learns its address.
ENDPOINT_URL=$(gcloud run services describe coldpress-digits-endpoint --project="$PROJECT" --region=europe-west1 --format='value(status.url)')
gcloud run services add-iam-policy-binding coldpress-digits-endpoint --project="$PROJECT" --region=europe-west1 \
  --role=roles/run.invoker --member="serviceAccount:$ACCOUNT" --quiet >/dev/null
{ cat environment.yaml && echo "COLDPRESS_FALLBACK_URL: \"$ENDPOINT_URL\""; } >environment.filled.yaml

# A service that answers already goes on answering with the revision before.
traffic=
before=$(gcloud run services list --project="$PROJECT" --region="$REGION" --filter="metadata.name=$SERVICE" \
  --format='value(status.latestReadyRevisionName)')
if [ -n "$before" ]; then
  traffic="--no-traffic --tag=canary"
fi

# Google's buildpacks install requirements.txt, every package by its hash, and start the function under
# functions-framework. While an instance starts, Cloud Run gives it more CPU (--cpu-boost).
# shellcheck disable=SC2086 # two words, or none
gcloud run deploy "$SERVICE" --project="$PROJECT" --region="$REGION" --quiet \
  --source=function --function=predict --base-image=python313 \
  --service-account="$ACCOUNT" --invoker-iam-check --no-allow-unauthenticated \
  --memory=1024Mi --cpu=1 --cpu-boost \
  --concurrency=8 --min-instances=0 --max-instances=10 --timeout=30s \
  --env-vars-file=environment.filled.yaml --labels=coldpress-model=digits,coldpress-version=1 $traffic

if [ -n "$traffic" ]; then
  ./canary.sh 10 "$PROJECT"
fi
gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format='value(status.url)'
