"""TorchServe's inference API, ``/predictions/{name}[/{version}]``, and what its management API tells of models.

A body is one request's data: JSON, CSV, ``.npy`` or raw bytes, by its content type, or a form with a file for each
input. Models come and go by the folder, so the management API is there to read alone.
"""

from __future__ import annotations

from typing import Any

from coldpress_endpoint.model import Model
from coldpress_endpoint.protocols.form_data import read_form
from coldpress_endpoint.protocols.payload import Payload, answer, read
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.routes import Answer, Call, Handler, Route
from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import ColdpressError
from coldpress_runtime.json_text import dump
from coldpress_runtime.protocol import check_names

__all__ = ["routes"]

_JSON = {"content-type": "application/json"}
_TYPES = {
    400: "BadRequestException",
    405: "MethodNotAllowedException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    415: "UnsupportedMediaTypeException",
    429: "ServiceUnavailableException",
    503: "ServiceUnavailableException",
    504: "ServiceUnavailableException",
}


def routes(serving: Serving) -> list[Route]:
    """The protocol's paths."""
    protocol = _TorchServe(serving)
    found = []
    for path in ("/predictions/{name}", "/predictions/{name}/{version}"):
        found += [Route(method, path, _answering(protocol.predict)) for method in ("POST", "PUT")]  # curl -T puts
    found.append(Route("GET", "/ping", _answering(protocol.ping)))
    found.append(Route("GET", "/models", _answering(protocol.models)))
    found.append(Route("GET", "/models/{name}", _answering(protocol.model)))
    found.append(Route("GET", "/models/{name}/{version}", _answering(protocol.model)))
    return found


def _answering(handler: Handler) -> Handler:
    return refusing(handler, _refusal)


def _refusal(error: ColdpressError) -> dict[str, Any]:
    kind = "ModelNotFoundException" if error.status == 404 else _TYPES.get(error.status, "InternalServerException")
    return {"code": error.status, "type": kind, "message": str(error)}


class _TorchServe:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def predict(self, call: Call) -> Answer:
        """Answer one request's data with the model's predictions; several outputs are an object by name."""
        model = self._serving.models.get(call.params["name"], call.params.get("version"))
        return await answer(self._serving, model, call, _read)

    async def ping(self, _call: Call) -> Answer:
        """Whether any model answers: TorchServe's health check, and SageMaker's."""
        if self._serving.models.names():
            return Answer(200, dict(_JSON), b'{"status":"Healthy"}')
        return Answer(503, dict(_JSON), b'{"status":"Unhealthy"}')

    async def models(self, _call: Call) -> Answer:
        """The models that answer."""
        return Answer(200, dict(_JSON), dump({"models": _list_models(self._serving)}))

    async def model(self, call: Call) -> Answer:
        """One model: a list, as that server has one element for each version."""
        models = self._serving.models
        model = models.get(call.params["name"])
        version = call.params.get("version")
        every = version == "all"
        found = list(models.versions(model.name).values()) if every else [models.get(model.name, version)]
        return Answer(200, dict(_JSON), dump([_describe_model(each) for each in found]))


def _list_models(serving: Serving) -> list[dict[str, str]]:
    """The models as TorchServe and SageMaker list them."""
    return [
        {"modelName": name, "modelUrl": f"{name}/{serving.models.get(name).version}"} for name in serving.models.names()
    ]


def _describe_model(model: Model) -> dict[str, Any]:
    """A model as TorchServe describes one."""
    return {
        "modelName": model.name,
        "modelVersion": model.version,
        "modelUrl": f"{model.name}/{model.version}",
        "runtime": "onnxruntime",
        "minWorkers": 1,
        "maxWorkers": 1,
        "workers": [{"id": model.provider, "status": "READY" if model.ready else "UNLOADING"}],
    }


def _read(model: Model, call: Call) -> Payload:
    infos, outputs = model.input_infos, model.output_infos
    if not call.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return read(infos, outputs, call.headers, call.body)
    parts = read_form(call.headers["content-type"], call.body)
    if len(parts) == 1 and len(infos) == 1:  # "data" or "body", as its clients call it
        ((_, part),) = parts
        return read(infos, outputs, part.headers, part.body)
    check_names([name for name, _ in parts], infos)
    values: dict[str, Any] = {}
    for name, part in parts:
        payload = read({name: infos[name]}, outputs, part.headers, part.body)
        values |= payload.inputs
    return Payload(values, "predictions")
