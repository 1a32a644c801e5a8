
# Its own account may read the one secret that the endpoint knows it by.
resource "google_secret_manager_secret_iam_member" "token" {
  secret_id = var.fallback_token_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = var.service_account == "" ? google_service_account.function[0].member : "serviceAccount:${var.service_account}"
}
