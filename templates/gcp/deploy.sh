#!/bin/sh
# Makes or updates everything with the Google Cloud CLI (550 or later), signed in by `gcloud auth login`:
#     ./deploy.sh [PROJECT]
# The first time, the function gets every caller. From then on a new revision gets a share of them (canary.sh). What is
# there already stays; run it again when Google says that something it has just made is not there yet.
set -eu
cd "$(dirname "$0")"
PROJECT=${1:-@{project}}
: "${PROJECT:?name the project, or say gcloud config set project PROJECT}"
REGION=@{region}
SERVICE=@{service}
ACCOUNT=@{service_account}

gcloud services enable --project="$PROJECT" --quiet \
  artifactregistry.googleapis.com cloudbuild.googleapis.com iam.googleapis.com run.googleapis.com
@{account}
@{fallback}
@{weights}

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
  --source=function --function=predict --base-image=python@{python} \
  --service-account="$ACCOUNT" @{invoker_check} --no-allow-unauthenticated \
  --memory=@{memory_mb}Mi --cpu=@{cpu} --cpu-boost@{generation_flag} \
  --concurrency=@{concurrency} --min-instances=@{min_instances} --max-instances=@{max_instances} --timeout=@{timeout_s}s \
  --env-vars-file=@{environment_file}@{secret_flag} --labels=coldpress-model=@{model_label},coldpress-version=@{version_label} $traffic
@{invokers}
@{uploads}

if [ -n "$traffic" ]; then
  ./canary.sh @{canary_percent} "$PROJECT"
fi
gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format='value(status.url)'
