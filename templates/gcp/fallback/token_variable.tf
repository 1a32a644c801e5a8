
variable "fallback_token_secret" {
  description = "The secret of Secret Manager that the endpoint knows the function by."
  type        = string
  default     = "@{own_account}-token"
}
