#!/bin/sh
# How many callers get the revision that was deployed last, the others staying with the one before:
#     ./canary.sh PERCENT [PROJECT]     0: none, which takes a bad revision back; 100: all, which ends the trial
set -eu
PERCENT=${1:?say how many percent of the callers, 0 to 100}
PROJECT=${2:-$(gcloud config get-value project)}
: "${PROJECT:?name the project, or say gcloud config set project PROJECT}"
REGION=europe-west1
SERVICE=coldpress-digits

if [ "$PERCENT" -gt 0 ]; then
  # It has an address of its own, at which nobody calls: it must answer there first.
  URL=$(gcloud run services describe "$SERVICE" --project="$PROJECT" --region="$REGION" --format=json |
    python3 -c 'import json, sys; print(next((t["url"] for t in json.load(sys.stdin)["status"]["traffic"] if t.get("tag") == "canary"), ""))')
  if [ -n "$URL" ]; then
    curl --fail --silent --show-error --max-time 60 --output /dev/null \
      --header "Authorization: Bearer $(gcloud auth print-identity-token)" "$URL/v2/health/ready"
  fi
fi
if [ "$PERCENT" -eq 100 ]; then
  gcloud run services update-traffic "$SERVICE" --project="$PROJECT" --region="$REGION" --quiet --to-latest
else
  gcloud run services update-traffic "$SERVICE" --project="$PROJECT" --region="$REGION" --quiet --to-tags="canary=$PERCENT"
fi
