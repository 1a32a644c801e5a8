# API_KEY is the value of the key whose id is the output ApiKeyId.
curl -H "x-api-key: $API_KEY" -H "content-type: application/json" --data @request.json "@{url}/predict"
