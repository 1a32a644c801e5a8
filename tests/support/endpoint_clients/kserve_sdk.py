"""KServe's SDK: its REST client in both of its protocols, the first TensorFlow Serving's, and its gRPC client."""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput


def _request(rows, *, raw, binary_out=None):
    tensor = InferInput(name="x", shape=[len(rows), 4], datatype="FP32")
    tensor.set_data_from_numpy(np.asarray(rows, np.float32), binary_data=raw)
    outputs = None
    if binary_out is not None:
        outputs = [RequestedOutput(name="y", parameters={"binary_data": binary_out})]
    return InferRequest(model_name="affine", infer_inputs=[tensor], request_outputs=outputs, request_id="seven")


async def main():
    job = json.load(sys.stdin)
    rows, url = job["rows"], f"http://127.0.0.1:{job['port']}"
    found = {}
    first = InferenceRESTClient(RESTConfig(protocol="v1"))
    found["v1"] = (await first.infer(url, {"instances": rows}, model_name="affine"))["predictions"]
    found["v1 ready"] = await first.is_model_ready(url, "affine")
    found["v1 live"] = await first.is_server_live(url)
    try:
        await first.infer(url, {"instances": [[1]]}, model_name="affine")
    except httpx.HTTPStatusError as error:
        found["v1 refused"] = str(error)
    second = InferenceRESTClient(RESTConfig(protocol="v2"))
    found["v2 live"] = await second.is_server_live(url)
    found["v2 ready"] = [await second.is_server_ready(url), await second.is_model_ready(url, "affine")]
    for raw in (False, True):
        for binary_out in (None, False, True):
            answer = await second.infer(url, _request(rows, raw=raw, binary_out=binary_out), model_name="affine")
            found[f"v2 {raw} {binary_out}"] = answer.outputs[0].as_numpy().tolist()
    async with InferenceGRPCClient(f"127.0.0.1:{job['grpc_port']}") as client:
        found["grpc ready"] = [
            await client.is_server_live(),
            await client.is_server_ready(),
            await client.is_model_ready("affine"),
        ]
        for raw in (False, True):
            answer = await client.infer(_request(rows, raw=raw))
            found[f"grpc {raw}"] = answer.outputs[0].as_numpy().tolist()
    sys.stdout.write(json.dumps(found) + "\n")


asyncio.run(main())
