output TOPIC_NAME string = topic.name
output UPLOADS_ACCOUNT string = uploads.name
