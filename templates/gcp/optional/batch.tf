
# An event that a job answers with an error comes again, for a week: when its time is up, and when something breaks. After
# a hundred times it is put where it stays for another week, for somebody to look at, and to publish again. Terraform
# cannot change the subscription that Eventarc has made, so once, after the first apply, beside the command below:
#     gcloud pubsub subscriptions update "$(terraform output -raw subscription)" --min-retry-delay=10s --max-retry-delay=300s \
#       --message-retention-duration=7d --dead-letter-topic="$(terraform output -raw lost)" --max-delivery-attempts=100
data "google_project" "project" {}

resource "google_pubsub_topic" "lost" {
  # checkov:skip=CKV_GCP_83: It holds names of objects, and Google's own keys are enough for those.
  name = "${local.service}-uploads-lost"
}

resource "google_pubsub_subscription" "lost" {
  name                       = "${local.service}-uploads-lost"
  topic                      = google_pubsub_topic.lost.id
  message_retention_duration = "604800s"

  expiration_policy {
    ttl = "" # never
  }
}

resource "google_pubsub_topic_iam_member" "lost" {
  topic  = google_pubsub_topic.lost.id
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:service-${data.google_project.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription_iam_member" "lost" {
  subscription = google_eventarc_trigger.uploads[0].transport[0].pubsub[0].subscription
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:service-${data.google_project.project.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# How many jobs have failed, for an alert of yours: too many rejects, or nothing that can be read.
resource "google_logging_metric" "failed" {
  name   = "${local.service}-uploads-failed"
  filter = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${local.service}-uploads\" AND jsonPayload.status=\"failed\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

output "lost" {
  description = "Where events go that have come a hundred times."
  value       = google_pubsub_topic.lost.id
}
