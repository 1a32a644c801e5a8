az deployment group create --resource-group "$GROUP" --name events --template-file events.bicep --parameters appName="$APP_NAME" topicName="$(output TOPIC_NAME)" --output none
