"""A server as people write it: FastAPI, orjson, onnxruntime, numpy; started by uvicorn with uvloop and httptools."""

import os

import numpy as np
import onnxruntime as ort
import orjson
from fastapi import FastAPI, Request, Response

options = ort.SessionOptions()
options.intra_op_num_threads = 1
session = ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
kinds = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}
inputs = {each.name: kinds[each.type] for each in session.get_inputs()}
outputs = [each.name for each in session.get_outputs()]
app = FastAPI()


@app.post("/predict")
async def predict(request: Request) -> Response:
    given = orjson.loads(await request.body())["inputs"]
    feeds = {name: np.asarray(given[name], kind) for name, kind in inputs.items()}
    values = session.run(outputs, feeds)
    document = {"outputs": {name: value.tolist() for name, value in zip(outputs, values, strict=True)}}
    return Response(orjson.dumps(document), media_type="application/json")
