# The same as deploy.sh makes, as a Terraform module, for an image that is built already:
#     terraform apply -var project=PROJECT -var image=IMAGE -var caller=ACCOUNT
terraform {
  required_version = ">= 1.5"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.20"
    }
  }
}

variable "project" {
  description = "The project's id."
  type        = string
  default     = "my-project"
}

variable "region" {
  description = "One that has L4s."
  type        = string
  default     = "us-central1"
}

variable "image" {
  description = "The endpoint's image, in a registry that Cloud Run may read."
  type        = string
}

variable "caller" {
  description = "The account that the function runs as: it alone may ask."
  type        = string
}

provider "google" {
  project = var.project
  region  = var.region
}

# The account that the endpoint runs as. It has no role: the model is in the image, so it reads nothing.
resource "google_service_account" "endpoint" {
  account_id   = "coldpress-on-weird-6140-gpu"
  display_name = "Runs coldpress-on-weird-6140-endpoint"
}

resource "google_cloud_run_v2_service" "endpoint" {
  name                 = "coldpress-on-weird-6140-endpoint"
  location             = var.region
  labels               = { coldpress-model = "on---weird----aws--region-----name-" }
  ingress              = "INGRESS_TRAFFIC_ALL"
  invoker_iam_disabled = false
  deletion_protection  = false

  template {
    service_account                  = google_service_account.endpoint.email
    timeout                          = "60s"
    max_instance_request_concurrency = 32
    gpu_zonal_redundancy_disabled    = true

    scaling {
      min_instance_count = 1
      max_instance_count = 5
    }

    node_selector {
      accelerator = "nvidia-l4"
    }

    containers {
      image = var.image

      ports {
        container_port = 8080
      }

      env {
        name  = "COLDPRESS_DRAIN_S"
        value = "8" # Cloud Run waits ten seconds
      }

      resources {
        limits = {
          cpu              = "4"
          memory           = "16Gi"
          "nvidia.com/gpu" = "1"
        }
        cpu_idle          = false
        startup_cpu_boost = true
      }

      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 120
        http_get {
          path = "/v2/health/ready"
          port = 8080
        }
      }
    }
  }
}

resource "google_cloud_run_v2_service_iam_member" "caller" {
  location = google_cloud_run_v2_service.endpoint.location
  name     = google_cloud_run_v2_service.endpoint.name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.caller}"
}

output "url" {
  description = "Where the endpoint answers: the function's COLDPRESS_FALLBACK_URL."
  value       = google_cloud_run_v2_service.endpoint.uri
}
