
      env {
        name = "COLDPRESS_FALLBACK_TOKEN"
        value_source {
          secret_key_ref {
            secret  = var.fallback_token_secret
            version = "latest"
          }
        }
      }
