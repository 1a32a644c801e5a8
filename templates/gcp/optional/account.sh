# The account that the function runs as. It has no role: the model is in the package, so it reads nothing.
if ! gcloud iam service-accounts describe "$ACCOUNT" --project="$PROJECT" >/dev/null 2>&1; then
  gcloud iam service-accounts create @{own_account} --project="$PROJECT" --display-name="Runs @{service}"
fi
