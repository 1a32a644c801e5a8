"""Vertex AI's contract with a container: a path for health and one for predictions, both named by its environment.

``{"instances": [...], "parameters": {...}}`` is answered by ``{"predictions": [...], "deployedModelId": ...}``. What
``rawPredict`` passes on comes to the same path and may be anything that
:mod:`coldpress_endpoint.protocols.payload` reads; it is answered in kind.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from coldpress_endpoint.protocols.payload import answer
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.routes import Answer, Call, Route
from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import ColdpressError
from coldpress_runtime.json_text import dump

__all__ = ["routes"]

_JSON = {"content-type": "application/json"}
#: google.rpc.Code by HTTP status.
_CODES = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    406: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def routes(serving: Serving, environ: Mapping[str, str] = os.environ) -> list[Route]:
    """The protocol's paths; none where the environment is not Vertex AI's."""
    protocol = _Vertex(serving, environ.get("AIP_DEPLOYED_MODEL_ID", ""))
    found = []
    health, predict = environ.get("AIP_HEALTH_ROUTE"), environ.get("AIP_PREDICT_ROUTE")
    if health:
        found.append(Route("GET", health, refusing(protocol.health, _refusal)))
    if predict:
        found.append(Route("POST", predict, refusing(protocol.predict, _refusal)))
    return found


def _refusal(error: ColdpressError) -> dict[str, Any]:
    code = _CODES.get(error.status, "INTERNAL")
    return {"error": {"code": error.status, "message": str(error), "status": code}}


class _Vertex:
    def __init__(self, serving: Serving, deployed: str) -> None:
        self._serving = serving
        self._deployed = deployed

    async def health(self, _call: Call) -> Answer:
        """Whether any model answers."""
        ready = bool(self._serving.models.names())
        return Answer(200 if ready else 503, dict(_JSON), dump({"ready": ready}))

    async def predict(self, call: Call) -> Answer:
        """Answer instances, or what rawPredict passes on."""
        models = self._serving.models
        model = models.get(models.default)
        return await answer(self._serving, model, call)
