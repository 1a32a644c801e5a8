
# The endpoint, which endpoint/ has made: the function's account may call this one service, and learns its address.
data "google_cloud_run_v2_service" "endpoint" {
  name     = "@{endpoint}"
  location = "@{endpoint_region}"
}

resource "google_cloud_run_v2_service_iam_member" "asks" {
  location = data.google_cloud_run_v2_service.endpoint.location
  name     = data.google_cloud_run_v2_service.endpoint.name
  role     = "roles/run.invoker"
  member   = var.service_account == "" ? google_service_account.function[0].member : "serviceAccount:${var.service_account}"
}
