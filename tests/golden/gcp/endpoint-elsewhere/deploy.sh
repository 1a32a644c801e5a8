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

# What the endpoint knows the function by: the secret coldpress-digits-token, which you have made, and which its account may read.
#     printf '%s' "$TOKEN" | gcloud secrets create coldpress-digits-token --data-file=-
gcloud secrets add-iam-policy-binding coldpress-digits-token --project="$PROJECT" --quiet \
  --role=roles/secretmanager.secretAccessor --member="serviceAccount:$ACCOUNT" >/dev/null

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
  --env-vars-file=environment.yaml --set-secrets=COLDPRESS_FALLBACK_TOKEN=coldpress-digits-token:latest --labels=coldpress-model=digits,coldpress-version=1 $traffic

if [ -n "$traffic" ]; then
  ./canary.sh 10 "$PROJECT"
fi
gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format='value(status.url)'
