# Callers sign with an access key, and need fc:InvokeFunction on the function. From here, as Function Compute's own API:
s invoke --qualifier live --event-file request.json
# Over HTTP, with ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET set:
python3 call.py "$URL/predict" request.json
