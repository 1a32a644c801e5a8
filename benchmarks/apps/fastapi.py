"""The usual web stack on Lambda: FastAPI behind Mangum, onnxruntime underneath."""

import os
from typing import Any

import onnxruntime
from fastapi import FastAPI, Request, Response
from mangum import Mangum
from pydantic import BaseModel
from spec import MODEL
from wire import LENGTH, from_binary, from_lists, to_binary, to_lists

session = onnxruntime.InferenceSession(os.path.join(os.environ["LAMBDA_TASK_ROOT"], MODEL))
app = FastAPI()


class Predict(BaseModel):
    """The body of ``POST /predict``."""

    inputs: dict[str, list[Any]]


@app.post("/predict")
def predict(body: Predict) -> dict[str, Any]:
    """Answer in JSON."""
    return {"outputs": to_lists(session.run(None, from_lists(body.inputs)))}


@app.post("/v2/models/{name}/infer")
async def infer(name: str, request: Request) -> Response:
    """Answer in the binary form."""
    raw, head = to_binary(session.run(None, from_binary(await request.body(), int(request.headers[LENGTH]))))
    return Response(raw, headers={LENGTH: str(head)}, media_type="application/octet-stream")


handler = Mangum(app, lifespan="off")
