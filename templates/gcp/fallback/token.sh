
# What the endpoint knows the function by: the secret @{own_account}-token, which you have made, and which its account may read.
#     printf '%s' "$TOKEN" | gcloud secrets create @{own_account}-token --data-file=-
gcloud secrets add-iam-policy-binding @{own_account}-token --project="$PROJECT" --quiet \
  --role=roles/secretmanager.secretAccessor --member="serviceAccount:$ACCOUNT" >/dev/null
