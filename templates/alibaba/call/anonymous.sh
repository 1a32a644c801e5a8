curl -H "content-type: application/json" --data @request.json "$URL/predict"
