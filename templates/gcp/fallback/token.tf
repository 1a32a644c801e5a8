
variable "fallback_token_secret" {
  description = "The secret of Secret Manager that the endpoint knows the function by."
  type        = string
  default     = "@{own_account}-token"
}

resource "google_secret_manager_secret_iam_member" "token" {
  secret_id = var.fallback_token_secret
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${var.service_account == "" ? google_service_account.function[0].email : var.service_account}"
}
