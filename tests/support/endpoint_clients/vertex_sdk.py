"""Vertex AI's SDK: a private endpoint's predict and rawPredict, its health check, and the REST client."""

import json
import sys

import numpy as np
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1
from google.cloud.aiplatform_v1.services.prediction_service.transports.rest import PredictionServiceRestTransport
from google.protobuf import json_format, struct_pb2

NAME = "projects/p/locations/us-central1/endpoints/7"


def _value(plain):
    return json_format.ParseDict(plain, struct_pb2.Value())


def main():
    job = json.load(sys.stdin)
    rows, url = job["rows"], f"http://127.0.0.1:{job['port']}"
    aiplatform.init(project="p", location="us-central1", credentials=AnonymousCredentials())
    resource = aiplatform_v1.Endpoint(
        name=NAME,
        network="projects/1/global/networks/n",
        create_time={"seconds": 1},  # else the client asks the control plane for the rest
        deployed_models=[
            {
                "id": "11",
                "private_endpoints": {
                    "predict_http_uri": url + job["predict"],
                    "health_http_uri": url + job["health"],
                },
            }
        ],
    )
    private = aiplatform.PrivateEndpoint._construct_sdk_resource_from_gapic(
        resource, credentials=AnonymousCredentials()
    )
    found = {"private": private.predict(instances=rows).predictions}
    found["private parameters"] = private.predict(instances=rows, parameters={"confidence": 0.5}).predictions
    raw = private.raw_predict(json.dumps({"instances": rows}), {"Content-Type": "application/json"})
    found["raw"] = json.loads(raw.data)["predictions"]
    body = json.dumps({"inputs": [{"name": "x", "shape": [2, 4], "datatype": "FP32", "data": rows}]})
    raw = private.raw_predict(body, {"Content-Type": "application/json"})
    found["raw infer"] = np.reshape(json.loads(raw.data)["outputs"][0]["data"], (2, 3)).tolist()
    found["health"] = private.health_check()

    transport = PredictionServiceRestTransport(
        host=f"127.0.0.1:{job['port']}", url_scheme="http", credentials=AnonymousCredentials()
    )
    client = aiplatform_v1.PredictionServiceClient(transport=transport)
    answer = client.predict(endpoint=NAME, instances=[_value(row) for row in rows])
    found["rest"] = json_format.MessageToDict(answer._pb)["predictions"]
    try:
        client.predict(endpoint=NAME, instances=[_value([1.0, 2.0])])
    except GoogleAPICallError as error:
        found["refused"] = [type(error).__name__, error.message]
    sys.stdout.write(json.dumps(found) + "\n")


main()
