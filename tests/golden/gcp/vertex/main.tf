# The same as deploy.sh makes, as a Terraform module, for an image built as service.yaml says:
#     terraform apply -var project=PROJECT -var image=IMAGE
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.20"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

locals {
  service = "coldpress-digits"
  # functions-framework's threads, so that as many requests run as Cloud Run sends at a time; and what the settings say.
  environment = {
    THREADS = tostring(var.concurrency)
    COLDPRESS_FALLBACK_URL = var.fallback_url
  }
  labels = {
    coldpress-model   = "digits"
    coldpress-version = "1"
  }
  uploads = var.uploads_bucket == "" ? 0 : 1
}

# The account that the function runs as. It has no role: the model is in the package, so it reads nothing.
resource "google_service_account" "function" {
  count        = var.service_account == "" ? 1 : 0
  account_id   = "coldpress-digits"
  display_name = "Runs ${local.service}"
}

resource "google_cloud_run_v2_service" "function" {
  name                 = local.service
  location             = var.region
  labels               = local.labels
  ingress              = "INGRESS_TRAFFIC_ALL"
  invoker_iam_disabled = var.public
  deletion_protection  = false

  template {
    service_account                  = var.service_account == "" ? google_service_account.function[0].email : var.service_account
    timeout                          = "${var.timeout_s}s"
    max_instance_request_concurrency = var.concurrency
    execution_environment            = var.memory_mb < 512 ? "EXECUTION_ENVIRONMENT_GEN1" : null # Cloud Run chooses

    scaling {
      min_instance_count = var.min_instances
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = tostring(var.cpu)
          memory = "${var.memory_mb}Mi"
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(local.environment, { FUNCTION_TARGET = "predict" })
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }

  # A release goes to a share of the callers first, when the revision before is named: the others stay with that one.
  traffic {
    type    = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
    percent = var.stable_revision == "" ? 100 : var.canary_percent
  }

  dynamic "traffic" {
    for_each = var.stable_revision == "" ? [] : [var.stable_revision]
    content {
      type     = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
      revision = traffic.value
      percent  = 100 - var.canary_percent
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = toset(var.invokers)
  location = google_cloud_run_v2_service.function.location
  name     = google_cloud_run_v2_service.function.name
  role     = "roles/run.invoker"
  member   = each.value
}

# What is uploaded to a bucket: a second service from the same image, told by Eventarc. Its account may read below the one
# prefix and write below the other, which needs a bucket with uniform access.
data "google_storage_bucket" "uploads" {
  count = local.uploads
  name  = var.uploads_bucket
}

data "google_storage_project_service_account" "agent" {
  count = local.uploads
}

resource "google_service_account" "scorer" {
  count        = local.uploads
  account_id   = "coldpress-digits-up"
  display_name = "Runs ${local.service}-uploads"
}

resource "google_storage_bucket_iam_member" "reads_uploads" {
  count  = local.uploads
  bucket = var.uploads_bucket
  role   = "roles/storage.objectViewer"
  member = google_service_account.scorer[0].member

  condition {
    title = "uploads"
    # Listing names the bucket itself; without it, an object that is gone looks like one that is forbidden.
    expression = "resource.type == \"storage.googleapis.com/Bucket\" || resource.name.startsWith(\"projects/_/buckets/${var.uploads_bucket}/objects/${var.input_prefix}\")"
  }
}

resource "google_storage_bucket_iam_member" "writes_scores" {
  count  = local.uploads
  bucket = var.uploads_bucket
  role   = "roles/storage.objectUser"
  member = google_service_account.scorer[0].member

  condition {
    title      = "scores"
    expression = "resource.name.startsWith(\"projects/_/buckets/${var.uploads_bucket}/objects/${var.output_prefix}\")"
  }
}

resource "google_cloud_run_v2_service" "uploads" {
  count               = local.uploads
  name                = "${local.service}-uploads"
  location            = var.region
  labels              = local.labels
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = false

  template {
    service_account                  = google_service_account.scorer[0].email
    timeout                          = "${var.timeout_s}s"
    max_instance_request_concurrency = var.concurrency
    execution_environment            = var.memory_mb < 512 ? "EXECUTION_ENVIRONMENT_GEN1" : null # Cloud Run chooses

    scaling {
      max_instance_count = var.max_instances
    }

    containers {
      image = var.image

      resources {
        limits = {
          cpu    = tostring(var.cpu)
          memory = "${var.memory_mb}Mi"
        }
        cpu_idle          = true
        startup_cpu_boost = true
      }

      dynamic "env" {
        for_each = merge(local.environment, {
          FUNCTION_TARGET         = "score_upload"
          COLDPRESS_INPUT_PREFIX  = var.input_prefix
          COLDPRESS_OUTPUT_PREFIX = var.output_prefix
        })
        content {
          name  = env.key
          value = env.value
        }
      }
    }
  }
}

# Cloud Storage publishes, Eventarc listens, and the trigger calls as the account above. A failed event is sent again for a
# day.
resource "google_project_iam_member" "publishes" {
  count   = local.uploads
  project = var.project
  role    = "roles/pubsub.publisher"
  member  = data.google_storage_project_service_account.agent[0].member
}

resource "google_project_iam_member" "receives" {
  count   = local.uploads
  project = var.project
  role    = "roles/eventarc.eventReceiver"
  member  = google_service_account.scorer[0].member
}

resource "google_cloud_run_v2_service_iam_member" "trigger" {
  count    = local.uploads
  location = var.region
  name     = google_cloud_run_v2_service.uploads[0].name
  role     = "roles/run.invoker"
  member   = google_service_account.scorer[0].member
}

resource "google_eventarc_trigger" "uploads" {
  count           = local.uploads
  name            = "${local.service}-uploads"
  location        = lower(data.google_storage_bucket.uploads[0].location)
  service_account = google_service_account.scorer[0].email

  matching_criteria {
    attribute = "type"
    value     = "google.cloud.storage.object.v1.finalized"
  }

  matching_criteria {
    attribute = "bucket"
    value     = var.uploads_bucket
  }

  destination {
    cloud_run_service {
      service = google_cloud_run_v2_service.uploads[0].name
      region  = var.region
    }
  }

  depends_on = [
    google_project_iam_member.publishes,
    google_project_iam_member.receives,
    google_cloud_run_v2_service_iam_member.trigger,
  ]
}

# Pub/Sub takes an answer that comes after 10 s for none, and sends the event again and again. Terraform cannot change
# that, so once, after the first apply:
#     gcloud pubsub subscriptions update "$(terraform output -raw subscription)" --ack-deadline=600
output "subscription" {
  description = "What brings the news of uploads to the function; its deadline for an answer is yours to set."
  value       = one(google_eventarc_trigger.uploads[*].transport[0].pubsub[0].subscription)
}

output "url" {
  description = "Where the function answers."
  value       = google_cloud_run_v2_service.function.uri
}

output "revision" {
  description = "The revision that was made last; name it as stable_revision when the next one is tried."
  value       = basename(google_cloud_run_v2_service.function.latest_ready_revision)
}
