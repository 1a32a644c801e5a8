# TOKEN is one that the holder of the key made for you.
curl -H "authorization: Bearer $TOKEN" -H "content-type: application/json" --data @request.json "$URL/predict"
