
# The model: in the bucket, where the function's account may read that folder. The revision before needs its own there.
./weights.sh
gcloud storage buckets add-iam-policy-binding "gs://@{weights_bucket}" --quiet \
  --member="serviceAccount:$ACCOUNT" --role=roles/storage.objectViewer \
  --condition='title=weights,expression=resource.name.startsWith("projects/_/buckets/@{weights_bucket}/objects/@{weights_folder}")' >/dev/null
