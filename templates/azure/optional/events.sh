./events.sh "$GROUP" "$APP_NAME" "$(output TOPIC_NAME)"
