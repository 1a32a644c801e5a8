curl --data @request.json --header "Content-Type: application/json" "$URL/predict"
