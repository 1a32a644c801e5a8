
# The model lies in Cloud Storage, where ./weights.sh puts it. The revision before needs its own there, hence the folder.
resource "google_storage_bucket_iam_member" "reads_weights" {
  bucket = "@{weights_bucket}"
  role   = "roles/storage.objectViewer"
  member = var.service_account == "" ? google_service_account.function[0].member : "serviceAccount:${var.service_account}"

  condition {
    title      = "weights"
    expression = "resource.name.startsWith(\"projects/_/buckets/@{weights_bucket}/objects/@{weights_folder}\")"
  }
}
