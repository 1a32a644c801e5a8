./events.sh "$GROUP" "$APP_NAME" "$(output topicName)"
