# Anybody who knows the address may call.
curl -H "content-type: application/json" --data @request.json "$URL/predict"
