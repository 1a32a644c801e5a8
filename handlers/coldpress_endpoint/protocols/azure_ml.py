"""Azure ML's contract with a container: ``GET /`` for its probes and ``POST /score``.

Scoring scripts choose their own JSON, so the usual ones are read: the plain forms of
:mod:`coldpress_endpoint.protocols.payload`, the same in ``{"data": ...}`` answered by a list, and MLflow's
``{"input_data": {"columns": [...], "data": [...]}}``. ``azureml-model-deployment`` chose the deployment on the way and
means nothing here.
"""

from __future__ import annotations

from typing import Any

from coldpress_endpoint.arrays import parse
from coldpress_endpoint.model import Model
from coldpress_endpoint.protocols import media
from coldpress_endpoint.protocols.payload import Payload, answer, read, read_document
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.routes import Answer, Call, Route
from coldpress_endpoint.serving import Serving
from coldpress_runtime import binary
from coldpress_runtime.errors import ColdpressError, RequestError
from coldpress_runtime.json_text import describe

__all__ = ["routes"]

_CODES = {
    400: "BadRequest",
    404: "NotFound",
    406: "NotAcceptable",
    408: "RequestTimeout",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


def routes(serving: Serving) -> list[Route]:
    """The protocol's paths."""
    protocol = _AzureML(serving)
    return [
        Route("GET", "/", refusing(protocol.live, _refusal)),
        Route("POST", "/score", refusing(protocol.score, _refusal)),
    ]


def _refusal(error: ColdpressError) -> dict[str, Any]:
    code = _CODES.get(error.status, "InternalServerError")
    return {"error": {"code": code, "message": str(error)}}


class _AzureML:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def live(self, _call: Call) -> Answer:
        """What a deployment's probes ask, for the status alone; the words are those that KServe's clients expect."""
        return Answer(200, {"content-type": "application/json"}, b'{"status":"alive"}')

    async def score(self, call: Call) -> Answer:
        """Answer what a scoring script would have read."""
        models = self._serving.models
        model = models.get(models.default)
        found = await answer(self._serving, model, call, _read)
        headers = dict(found.headers)
        if "x-ms-client-request-id" in call.headers:
            headers["x-ms-client-request-id"] = call.headers["x-ms-client-request-id"]
        return found._replace(headers=headers)


def _read(model: Model, call: Call) -> Payload:
    inputs, outputs = model.input_infos, model.output_infos
    kind = media.media_type(call.headers.get("content-type", "")).name
    if kind not in {media.JSON, ""} or binary.HEADER.lower() in call.headers:
        return read(inputs, outputs, call.headers, call.body)
    document = parse(call.body)
    if type(document) is not dict or not {"data", "input_data"} & document.keys() - inputs.keys():
        return read_document(inputs, outputs, document)
    for key in document:
        if key not in {"data", "input_data", "params", "parameters"}:
            raise RequestError(f'The key {describe(key)} is unknown beside "data" or "input_data".')
    data = document.get("input_data", document.get("data"))
    payload = read_document(inputs, outputs, _table(data) if type(data) is dict else data)
    return payload._replace(form="rows") if payload.form == "predictions" else payload


def _table(data: dict[str, Any]) -> Any:
    """A table as pandas splits one, as instances; what is none stays as it is."""
    if "data" not in data or not data.keys() <= {"columns", "index", "data"}:
        return data
    columns, rows = data.get("columns"), data["data"]
    if columns is None:
        return rows
    if type(columns) is not list or type(rows) is not list:
        raise RequestError(f"input_data has columns {describe(columns)} and data {describe(rows)}, expected two lists.")
    if any(type(name) is not str for name in columns):  # pandas numbers the columns of a bare array
        return rows
    for place, row in enumerate(rows):
        if type(row) is not list or len(row) != len(columns):
            raise RequestError(f"Row {place} of input_data is {describe(row)}, expected a list of {len(columns)}.")
    return {"instances": [dict(zip(columns, row, strict=True)) for row in rows]}
