"""The Open Inference Protocol v2 over HTTP, with its binary tensor extension and the index of the repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from coldpress_endpoint.arrays import dump, fits_json, nbytes, off_loop, parse, to_arrays, to_tensors, widened
from coldpress_endpoint.model import Model
from coldpress_endpoint.quick import read_infer
from coldpress_endpoint.routes import Answer, Call, Route
from coldpress_endpoint.serving import Prediction, Serving
from coldpress_endpoint.signature import Signature
from coldpress_runtime.binary import HEADER, split
from coldpress_runtime.errors import NotFoundError, TooLargeError
from coldpress_runtime.metadata import server_metadata
from coldpress_runtime.protocol import InferRequest, decode_infer, encode_infer

__all__ = ["routes"]

_JSON = {"content-type": "application/json"}


def routes(serving: Serving) -> list[Route]:
    """The paths below ``/v2``."""
    models = serving.models

    async def infer(call: Call) -> Answer:
        return await _infer(serving, call)

    async def server(_call: Call) -> Answer:
        return _json(server_metadata())

    async def live(_call: Call) -> Answer:
        return _json({"live": serving.live}, 200 if serving.live else 503)

    async def ready(_call: Call) -> Answer:
        return _json({"ready": serving.ready}, 200 if serving.ready else 503)

    async def metadata(call: Call) -> Answer:
        model = models.get(call.params["name"], call.params.get("version"))
        return _json(
            {
                "name": model.name,
                "versions": list(models.versions(model.name)),
                "platform": "onnxruntime_onnx",
                "inputs": [_tensor(each) for each in model.inputs],
                "outputs": [_tensor(each) for each in model.outputs],
            }
        )

    async def model_ready(call: Call) -> Answer:
        name = call.params["name"]
        failed = models.failed.get(name, {})
        try:
            models.get(name, call.params.get("version"))
        except NotFoundError:
            if not failed:
                raise
            return _json({"name": name, "ready": False, "failed": failed}, 503)
        document = {"name": name, "ready": serving.ready}
        if failed:
            document["failed"] = failed
        return _json(document, 200 if serving.ready else 503)

    async def index(_call: Call) -> Answer:
        served = [
            {"name": name, "version": version, "state": "READY", "reason": ""}
            for name in models.names()
            for version in models.versions(name)
        ]
        failed = [
            {"name": name, "version": version, "state": "UNAVAILABLE", "reason": reason}
            for name, versions in models.failed.items()
            for version, reason in versions.items()
        ]
        return _json(served + failed)

    found = [
        Route("GET", "/v2", server),
        Route("GET", "/v2/health/live", live),
        Route("GET", "/v2/health/ready", ready),
        Route("POST", "/v2/repository/index", index),
    ]
    for base in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route("POST", base + "/infer", infer),
            Route("GET", base + "/ready", model_ready),
            Route("GET", base, metadata),
        ]
    return found


async def _infer(serving: Serving, call: Call) -> Answer:
    version = call.params.get("version")
    model = serving.models.get(call.params["name"], version)
    header = call.headers.get(HEADER.lower())
    asked, inputs = await off_loop(len(call.body), _read, call.body, header, model)
    prediction = await serving.predict(model.name, version, inputs, asked.outputs)
    limit = serving.models.settings.max_answer
    return await off_loop(nbytes(prediction.outputs), _write, asked, prediction, model, limit)


def _read(body: bytes, header: str | None, model: Model) -> tuple[InferRequest, dict[str, Any]]:
    usual = None if header else read_infer(body, model.input_infos)
    if usual is not None:
        return InferRequest(usual[1], usual[0], None, set()), usual[0]
    text, tail = split(body, header)
    asked = decode_infer(parse(text), tail, model.input_infos, model.output_infos)
    return asked, to_arrays(asked.inputs)


def _write(asked: InferRequest, prediction: Prediction, model: Model, limit: int) -> Answer:
    outputs = prediction.outputs
    body = None
    headers = _JSON
    if asked.binary == set() and fits_json(outputs, limit):
        document: dict[str, Any] = {
            "model_name": prediction.name,
            "model_version": prediction.version,
            "outputs": [_item(name, value, model) for name, value in outputs.items()],
        }
        if asked.id is not None:
            document["id"] = asked.id
        body = dump(document)
    if body is None:
        values = to_tensors(outputs, model)
        body, headers = encode_infer(asked, values, prediction.name, prediction.version, limit)
        headers = {name.lower(): text for name, text in headers.items()}
    if len(body) > limit:
        raise TooLargeError(
            f"The answer has {len(body)} bytes, over this endpoint's {limit}; send fewer rows, or ask for binary data."
        )
    return Answer(200, headers, body)


def _item(name: str, value: np.ndarray[Any, Any], model: Model) -> dict[str, Any]:
    info = model.output_infos[name]
    datatype = info.dtype.name if info.dtype is not None else "BYTES"
    return {"name": name, "datatype": datatype, "shape": value.shape, "data": widened(value.reshape(-1))}


def _tensor(signature: Signature) -> dict[str, Any]:
    return {"name": signature.name, "datatype": signature.datatype, "shape": signature.shape}


def _json(document: Mapping[str, Any] | list[Any], status: int = 200) -> Answer:
    return Answer(status, _JSON, orjson.dumps(document))
