output topicName string = topic.name
output uploadsAccount string = uploads.name
