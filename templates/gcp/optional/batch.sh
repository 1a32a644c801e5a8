
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
