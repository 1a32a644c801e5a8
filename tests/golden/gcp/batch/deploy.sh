#!/bin/sh
# Makes or updates everything with the Google Cloud CLI (550 or later), signed in by `gcloud auth login`:
#     ./deploy.sh [PROJECT]
# The first time, the function gets every caller. From then on a new revision gets a share of them (canary.sh). What is
# there already stays; run it again when Google says that something it has just made is not there yet.
set -eu
cd "$(dirname "$0")"
PROJECT=${1:-my-project}
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
  --env-vars-file=environment.yaml --labels=coldpress-model=digits,coldpress-version=1 $traffic

# What is uploaded to the bucket: a second service from the same source, told by Eventarc. Its account may read below the
# one prefix and write below the other, which needs a bucket with uniform access.
BUCKET=my-data
INPUT=in/
OUTPUT=out/
UPLOADS=$SERVICE-uploads
SCORER=coldpress-digits-up@$PROJECT.iam.gserviceaccount.com
gcloud services enable --project="$PROJECT" --quiet eventarc.googleapis.com pubsub.googleapis.com
LOCATION=$(gcloud storage buckets describe "gs://$BUCKET" --format='value(location)' | tr '[:upper:]' '[:lower:]')

if ! gcloud iam service-accounts describe "$SCORER" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create coldpress-digits-up --project="$PROJECT" --display-name="Runs $UPLOADS"
fi
# Listing names the bucket itself; without it, an object that is gone looks like one that is forbidden.
objects="resource.name.startsWith(\"projects/_/buckets/$BUCKET/objects/"
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$SCORER" --quiet \
  --role=roles/storage.objectViewer --condition="title=uploads,expression=resource.type == \"storage.googleapis.com/Bucket\" || $objects$INPUT\")" >/dev/null
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$SCORER" --quiet \
  --role=roles/storage.objectUser --condition="title=scores,expression=$objects$OUTPUT\")" >/dev/null

gcloud run deploy "$UPLOADS" --project="$PROJECT" --region="$REGION" --quiet \
  --source=function --function=score_upload --base-image=python313 \
  --service-account="$SCORER" --invoker-iam-check --no-allow-unauthenticated --ingress=internal \
  --memory=8192Mi --cpu=2 --cpu-boost \
  --concurrency=1 --max-instances=20 --timeout=3600s --env-vars-file=environment.yaml

# Cloud Storage publishes, Eventarc listens, and the trigger calls as the account above. A failed event is sent again for
# a day.
gcloud projects add-iam-policy-binding "$PROJECT" --quiet --condition=None --role=roles/pubsub.publisher \
  --member="serviceAccount:$(gcloud storage service-agent --project="$PROJECT")" >/dev/null
gcloud projects add-iam-policy-binding "$PROJECT" --quiet --condition=None --role=roles/eventarc.eventReceiver \
  --member="serviceAccount:$SCORER" >/dev/null
gcloud run services add-iam-policy-binding "$UPLOADS" --project="$PROJECT" --region="$REGION" --quiet \
  --role=roles/run.invoker --member="serviceAccount:$SCORER" >/dev/null
if watched=$(gcloud eventarc triggers describe "$UPLOADS" --project="$PROJECT" --location="$LOCATION" --format=json 2>/dev/null); then
  case $watched in
    *"\"$BUCKET\""*) ;;
    *)
      echo "The trigger $UPLOADS watches another bucket than $BUCKET. Delete it, and run this again:" >&2
      echo "    gcloud eventarc triggers delete $UPLOADS --project=$PROJECT --location=$LOCATION" >&2
      exit 1
      ;;
  esac
else
  gcloud eventarc triggers create "$UPLOADS" --project="$PROJECT" --location="$LOCATION" \
    --destination-run-service="$UPLOADS" --destination-run-region="$REGION" --service-account="$SCORER" \
    --event-filters="type=google.cloud.storage.object.v1.finalized" --event-filters="bucket=$BUCKET"
fi
# Pub/Sub takes an answer that comes after 10 s for none, and would send the event again and again: 600 is the most.
gcloud pubsub subscriptions update --quiet "$(gcloud eventarc triggers describe "$UPLOADS" --project="$PROJECT" \
  --location="$LOCATION" --format='value(transport.pubsub.subscription)')" --project="$PROJECT" --ack-deadline=600

# An event that a job answers with an error comes again, for a week: when its time is up, and when something breaks. After
# a hundred times it is put where it stays for another week, for somebody to look at, and to publish again.
LOST=$UPLOADS-lost
SUBSCRIPTION=$(gcloud eventarc triggers describe "$UPLOADS" --project="$PROJECT" --location="$LOCATION" \
  --format='value(transport.pubsub.subscription)')
PUBSUB=service-$(gcloud projects describe "$PROJECT" --format='value(projectNumber)')@gcp-sa-pubsub.iam.gserviceaccount.com
if ! gcloud pubsub topics describe "$LOST" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud pubsub topics create "$LOST" --project="$PROJECT" --quiet
fi
if ! gcloud pubsub subscriptions describe "$LOST" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud pubsub subscriptions create "$LOST" --project="$PROJECT" --quiet --topic="$LOST" \
    --message-retention-duration=7d --expiration-period=never
fi
gcloud pubsub topics add-iam-policy-binding "$LOST" --project="$PROJECT" --quiet \
  --role=roles/pubsub.publisher --member="serviceAccount:$PUBSUB" >/dev/null
gcloud pubsub subscriptions add-iam-policy-binding "$SUBSCRIPTION" --project="$PROJECT" --quiet \
  --role=roles/pubsub.subscriber --member="serviceAccount:$PUBSUB" >/dev/null
gcloud pubsub subscriptions update "$SUBSCRIPTION" --project="$PROJECT" --quiet --min-retry-delay=10s --max-retry-delay=300s \
  --message-retention-duration=7d --dead-letter-topic="projects/$PROJECT/topics/$LOST" --max-delivery-attempts=100

# How many jobs have failed, for an alert of yours: too many rejects, or nothing that can be read.
if ! gcloud logging metrics describe "$UPLOADS-failed" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud logging metrics create "$UPLOADS-failed" --project="$PROJECT" --quiet --description="Uploads that could not be scored" \
    --log-filter="resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"$UPLOADS\" AND jsonPayload.status=\"failed\""
fi

if [ -n "$traffic" ]; then
  ./canary.sh 10 "$PROJECT"
fi
gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format='value(status.url)'
