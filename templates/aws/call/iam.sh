# Callers sign with AWS credentials, and need execute-api:Invoke on the API.
curl --aws-sigv4 "aws:amz:@{region}:execute-api" --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" -H "x-amz-security-token: $AWS_SESSION_TOKEN" -H "content-type: application/json" --data @request.json "@{url}/predict"
