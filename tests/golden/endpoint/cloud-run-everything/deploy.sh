#!/bin/sh
# Makes or updates the endpoint with the Google Cloud CLI (550 or later), signed in by `gcloud auth login`:
#     ./deploy.sh [PROJECT]
# Nobody may ask it until the function's deploy.sh, in the folder above, gives that right to the function's account.
set -eu
cd "$(dirname "$0")"
PROJECT=${1:-my-project}
: "${PROJECT:?name the project, or say gcloud config set project PROJECT}"
REGION=us-central1
SERVICE=coldpress-on-weird-6140-endpoint
ACCOUNT=coldpress-on-weird-6140-gpu@$PROJECT.iam.gserviceaccount.com
IMAGE=us-central1-docker.pkg.dev/my-project/images/large:1

gcloud services enable --project="$PROJECT" --quiet \
  artifactregistry.googleapis.com cloudbuild.googleapis.com iam.googleapis.com run.googleapis.com

# The account that it runs as. It has no role: the model is in the image, so it reads nothing.
if ! gcloud iam service-accounts describe "$ACCOUNT" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create coldpress-on-weird-6140-gpu --project="$PROJECT" --display-name="Runs $SERVICE" --quiet
fi
if ! gcloud artifacts repositories describe coldpress --project="$PROJECT" --location="$REGION" >/dev/null 2>&1; then
  gcloud artifacts repositories create coldpress --project="$PROJECT" --location="$REGION" --repository-format=docker --quiet
fi
gcloud builds submit . --project="$PROJECT" --region="$REGION" --tag="$IMAGE" --timeout=3600s --quiet

# One L4 with the least that Cloud Run sells beside it. Without zonal redundancy: that costs half as much again.
gcloud run deploy "$SERVICE" --project="$PROJECT" --region="$REGION" --quiet --image="$IMAGE" \
  --service-account="$ACCOUNT" --invoker-iam-check --no-allow-unauthenticated --port=8080 \
  --gpu=1 --gpu-type=nvidia-l4 --no-gpu-zonal-redundancy --cpu=4 --memory=16Gi --no-cpu-throttling --cpu-boost \
  --concurrency=32 --min-instances=1 --max-instances=5 --timeout=60s \
  --startup-probe=httpGet.path=/v2/health/ready,httpGet.port=8080,periodSeconds=2,timeoutSeconds=2,failureThreshold=120
gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format='value(status.url)'
