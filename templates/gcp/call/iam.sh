curl --data @request.json --header "Content-Type: application/json" \
  --header "Authorization: Bearer $(gcloud auth print-identity-token)" "$URL/predict"
