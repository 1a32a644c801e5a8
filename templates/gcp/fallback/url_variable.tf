
variable "fallback_url" {
  description = "The endpoint's address, as deploy.sh finds it; the permission to ask it is deploy.sh's to give, too."
  type        = string
}
