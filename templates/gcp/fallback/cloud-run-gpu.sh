
# The endpoint, which endpoint/deploy.sh has made: the function's account may call this one service, and learns its address.
ENDPOINT_URL=$(gcloud run services describe @{endpoint} --project="$PROJECT" --region=@{endpoint_region} --format='value(status.url)')
gcloud run services add-iam-policy-binding @{endpoint} --project="$PROJECT" --region=@{endpoint_region} \
  --role=roles/run.invoker --member="serviceAccount:$ACCOUNT" --quiet >/dev/null
{ cat environment.yaml && echo "COLDPRESS_FALLBACK_URL: \"$ENDPOINT_URL\""; } >environment.filled.yaml
