# A token of your tenant, made out for the application registration.
TOKEN=$(az account get-access-token --resource api://@{entra_client_id} --query accessToken --output tsv)
curl -H "authorization: Bearer $TOKEN" -H "content-type: application/json" --data @request.json "$URL/predict"
