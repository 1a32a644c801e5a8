
# What is uploaded to the bucket: a second service from the same source, told by Eventarc. Its account may read below the
# one prefix and write below the other, which needs a bucket with uniform access.
BUCKET=@{uploads_bucket}
INPUT=@{input_prefix}
OUTPUT=@{output_prefix}
UPLOADS=$SERVICE-uploads
SCORER=@{own_account}-up@$PROJECT.iam.gserviceaccount.com
gcloud services enable --project="$PROJECT" --quiet eventarc.googleapis.com pubsub.googleapis.com
LOCATION=$(gcloud storage buckets describe "gs://$BUCKET" --format='value(location)' | tr '[:upper:]' '[:lower:]')

if ! gcloud iam service-accounts describe "$SCORER" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create @{own_account}-up --project="$PROJECT" --display-name="Runs $UPLOADS"
fi
# Listing names the bucket itself; without it, an object that is gone looks like one that is forbidden.
objects="resource.name.startsWith(\"projects/_/buckets/$BUCKET/objects/"
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$SCORER" --quiet \
  --role=roles/storage.objectViewer --condition="title=uploads,expression=resource.type == \"storage.googleapis.com/Bucket\" || $objects$INPUT\")" >/dev/null
gcloud storage buckets add-iam-policy-binding "gs://$BUCKET" --member="serviceAccount:$SCORER" --quiet \
  --role=roles/storage.objectUser --condition="title=scores,expression=$objects$OUTPUT\")" >/dev/null

gcloud run deploy "$UPLOADS" --project="$PROJECT" --region="$REGION" --quiet \
  --source=function --function=score_upload --base-image=python@{python} \
  --service-account="$SCORER" --invoker-iam-check --no-allow-unauthenticated --ingress=internal \
  --memory=@{uploads_memory} --cpu=@{uploads_cpu} --cpu-boost@{uploads_generation_flag} \
  --concurrency=@{uploads_concurrency} --max-instances=@{uploads_instances} --timeout=@{uploads_timeout} --env-vars-file=environment.yaml

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
@{batch}
