# TOKEN is one that the issuer gave you for this audience.
curl -H "authorization: Bearer $TOKEN" -H "content-type: application/json" --data @request.json "@{url}/predict"
