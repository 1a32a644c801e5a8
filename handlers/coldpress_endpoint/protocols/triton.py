"""What Triton's clients ask beyond the Open Inference Protocol: a model's configuration, from its own signature."""

from __future__ import annotations

from typing import Any

import orjson

from coldpress_endpoint.model import Model
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.routes import Answer, Call, Route
from coldpress_endpoint.serving import Serving
from coldpress_endpoint.signature import Signature

__all__ = ["model_config", "routes"]


def routes(serving: Serving) -> list[Route]:
    """The configuration's paths."""

    async def config(call: Call) -> Answer:
        model = serving.models.get(call.params["name"], call.params.get("version"))
        return Answer(200, {"content-type": "application/json"}, orjson.dumps(model_config(model)))

    handler = refusing(config, lambda error: {"error": str(error)})
    bases = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
    return [Route("GET", f"{base}/config", handler) for base in bases]


def model_config(model: Model) -> dict[str, Any]:
    """The fields of Triton's ``ModelConfig``; the rows are one of the axes, so its ``max_batch_size`` is 0."""
    return {
        "name": model.name,
        "platform": "onnxruntime_onnx",
        "backend": "onnxruntime",
        "max_batch_size": 0,
        "input": [_tensor(each) for each in model.inputs],
        "output": [_tensor(each) for each in model.outputs],
    }


def _tensor(each: Signature) -> dict[str, Any]:
    kind = "STRING" if each.datatype == "BYTES" else each.datatype
    return {"name": each.name, "data_type": f"TYPE_{kind}", "dims": list(each.shape)}
