variable "project" {
  description = "The project's id."
  type        = string
@{project}
}

variable "image" {
  description = "The function's image, built as service.yaml says; name it by its digest."
  type        = string
}

variable "region" {
  description = "Where on Cloud Run."
  type        = string
  default     = "@{region}"
}

variable "memory_mb" {
  description = "Memory of an instance, in MiB. What the function writes to files counts too."
  type        = number
  default     = @{memory_mb}
}

variable "cpu" {
  description = "vCPUs of an instance: 1, 2, 4, 6 or 8."
  type        = number
  default     = @{cpu}
}

variable "timeout_s" {
  description = "Seconds for one request."
  type        = number
  default     = @{timeout_s}
}

variable "concurrency" {
  description = "Requests at a time in one instance."
  type        = number
  default     = @{concurrency}
}

variable "min_instances" {
  description = "Instances that stay started, and are billed while idle."
  type        = number
  default     = @{min_instances}
}

variable "max_instances" {
  description = "A ceiling on the bill."
  type        = number
  default     = @{max_instances}
}

variable "public" {
  description = "Whether everybody may call. Otherwise callers need the role run.invoker."
  type        = bool
  default     = @{invoker_check_off}
}

variable "invokers" {
  description = "Members that may call, such as \"serviceAccount:web@project.iam.gserviceaccount.com\"."
  type        = list(string)
  default     = @{invokers_of_terraform}
}

variable "service_account" {
  description = "The account that the function runs as; empty: one of its own, which may do nothing."
  type        = string
  default     = @{service_account_of_terraform}
}

variable "uploads_bucket" {
  description = "The bucket whose uploads are scored; empty: none."
  type        = string
  default     = @{uploads_bucket_of_terraform}
}

variable "input_prefix" {
  description = "What the names of uploads that are scored begin with."
  type        = string
  default     = @{input_prefix_of_terraform}
}

variable "output_prefix" {
  description = "What the names of answers begin with."
  type        = string
  default     = @{output_prefix_of_terraform}
}

variable "stable_revision" {
  description = "The revision that most callers stay with while a new one is tried; empty: the newest gets all of them."
  type        = string
  default     = ""
}

variable "canary_percent" {
  description = "The share of callers that a new revision gets while stable_revision is named."
  type        = number
  default     = @{canary_percent}
}
@{fallback_variables}
