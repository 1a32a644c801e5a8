
# The endpoint, which endpoint/deploy.sh has made. A role of the one permission to ask, given on that endpoint and nowhere
# else: this is the endpoint's whole policy.
if ! gcloud iam roles describe coldpressPredictor --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam roles create coldpressPredictor --project="$PROJECT" --title="Asks endpoints" --stage=GA \
    --permissions=aiplatform.endpoints.predict --quiet >/dev/null
fi
ENDPOINT=projects/$PROJECT/locations/@{endpoint_region}/endpoints/@{endpoint}
curl --silent --show-error --fail-with-body --output /dev/null --request POST \
  --header "authorization: Bearer $(gcloud auth print-access-token)" --header 'content-type: application/json' \
  --data "{\"policy\": {\"bindings\": [{\"role\": \"projects/$PROJECT/roles/coldpressPredictor\", \"members\": [\"serviceAccount:$ACCOUNT\"]}]}}" \
  "https://@{endpoint_region}-aiplatform.googleapis.com/v1beta1/$ENDPOINT:setIamPolicy"
ENDPOINT_HOST=$(gcloud ai endpoints describe @{endpoint} --project="$PROJECT" --region=@{endpoint_region} --format='value(dedicatedEndpointDns)')
{ cat environment.yaml && echo "COLDPRESS_FALLBACK_URL: \"https://$ENDPOINT_HOST/v1/$ENDPOINT\""; } >environment.filled.yaml
