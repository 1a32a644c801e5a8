"""SageMaker's contract with a container: ``GET /ping`` and ``POST /invocations``, and the one for several models.

Bodies and answers are of any content type that :mod:`coldpress_endpoint.protocols.payload` knows. Which model of
several is meant says ``X-Amzn-SageMaker-Target-Model``, or the path ``/models/{name}/invoke`` of multi-model endpoints.
Custom attributes and the inference's id come back as they were sent. ``GET /ping`` and ``GET /models`` are those of
TorchServe, whose contract SageMaker's was made after. ``/endpoints/{name}/invocations``, the path that SageMaker has in
front of its containers, is here for clients that are pointed at this server directly.
"""

from __future__ import annotations

from coldpress_endpoint.protocols.payload import answer
from coldpress_endpoint.protocols.refused import refusing
from coldpress_endpoint.routes import Answer, Call, Handler, Route
from coldpress_endpoint.serving import Serving
from coldpress_runtime.errors import NotFoundError, RequestError
from coldpress_runtime.json_text import describe, parse

__all__ = ["routes"]

_RETURNED = ("X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")


class ConflictError(RequestError):
    """The model is loaded already."""

    status = 409


def routes(serving: Serving) -> list[Route]:
    """The protocol's paths, but for those it shares with TorchServe."""
    protocol = _SageMaker(serving)
    return [
        Route("POST", "/invocations", _answering(protocol.invoke)),
        Route("POST", "/endpoints/{endpoint}/invocations", _answering(protocol.invoke)),
        Route("POST", "/models/{name}/invoke", _answering(protocol.invoke)),
        Route("POST", "/models", _answering(protocol.load)),
    ]


def _answering(handler: Handler) -> Handler:
    return refusing(handler, lambda error: {"error": str(error)})


class _SageMaker:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    async def invoke(self, call: Call) -> Answer:
        """Answer a body in the form that it came in, or that Accept asks for."""
        models = self._serving.models
        name = call.params.get("name") or _target(call.headers.get("x-amzn-sagemaker-target-model", ""))
        model = models.get(name or models.default)
        found = await answer(self._serving, model, call)
        headers = dict(found.headers)
        for header in _RETURNED:
            sent = call.headers.get(header.lower())
            if sent is not None:
                headers[header] = sent
        return found._replace(headers=headers)

    async def load(self, call: Call) -> Answer:
        """What a multi-model endpoint asks before it invokes: a model of the folder is there already."""
        document = parse(call.body)
        name = document.get("model_name") if type(document) is dict else None
        if type(name) is not str:
            raise RequestError(f"model_name is {describe(name)}, expected the name of a model.")
        if name in self._serving.models.names():
            raise ConflictError(f"Model {describe(name)} is loaded already.")
        raise NotFoundError(f"There is no model {describe(name)}; put it into the endpoint's folder of models.")


def _target(header: str) -> str:
    """The model that ``TargetModel`` means: the archive's name without what archives end with."""
    return header.removeprefix("/").removesuffix(".tar.gz")
