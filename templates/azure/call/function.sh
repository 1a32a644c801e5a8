# A key of the function, for callers who may know it; Azure keeps it.
KEY=$(az functionapp function keys list --resource-group @{group} --name "$APP_NAME" --function-name answer --query default --output tsv)
curl -H "x-functions-key: $KEY" -H "content-type: application/json" --data @request.json "$URL/predict"
