# A token of your tenant, made out for the application registration, which must ask for tokens of version 2; once:
#     az ad app update --id @{entra_client_id} --set api.requestedAccessTokenVersion=2
TOKEN=$(az account get-access-token --resource api://@{entra_client_id} --query accessToken --output tsv)
curl -H "authorization: Bearer $TOKEN" -H "content-type: application/json" --data @request.json "$URL/predict"
