"""``GET /openapi.json``: this function's interface as OpenAPI 3.1, from the model's own signature."""

from __future__ import annotations

from coldpress_runtime import __version__
from coldpress_runtime.openapi_schemas import infer_request, infer_response, predict_request, predict_response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.hooks import Hooks
    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.ort import Session

    Schema = dict[str, Any]

__all__ = ["describe_api"]

_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
#: Not a parameter in the document: it goes with one content type only, and parameters cannot say that.
_BINARY = (
    "With binary data behind the JSON, the header Inference-Header-Content-Length says how long the JSON is, in "
    "requests and in answers."
)
_REFUSALS = {
    "400": "The request is wrong; the message names the input, what came and what was expected.",
    "413": "The body or the answer is over this function's limit.",
    "415": "A content type or encoding that this path does not read.",
    "500": "The function is at fault; the message carries an id to be found in its log.",
}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _responses(content: Schema, *, body: bool) -> Schema:
    statuses = _REFUSALS if body else {"500": _REFUSALS["500"]}
    refusals = {
        status: {"description": text, "content": _json(_reference("Error"))} for status, text in statuses.items()
    }
    return {"200": {"description": "The answer.", "content": content}, **refusals}


def _get(identity: str, summary: str, schema: Schema) -> Schema:
    return {
        "get": {
            "operationId": identity,
            "summary": summary,
            "responses": _responses(_json(schema), body=False),
        }
    }


def _post(identity: str, summary: str, request: Schema, response: Schema, **more: Any) -> Schema:
    return {
        "post": {
            "operationId": identity,
            "summary": summary,
            "requestBody": {"required": True, "content": request},
            "responses": _responses(response, body=True),
            **more,
        }
    }


def _escape(text: str) -> str:
    """A path segment with everything escaped that a template or a URL could misread."""
    keep = "-._~/:"
    return "".join(
        c if c.isascii() and (c.isalnum() or c in keep) else "".join(f"%{byte:02X}" for byte in c.encode())
        for c in text
    )


_NAMED_TENSORS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
        },
        "required": ["name", "datatype", "shape"],
    },
}


def _flag(name: str) -> Schema:
    return {"type": "object", "properties": {name: {"type": "boolean"}}, "required": [name]}


def _health() -> Schema:
    server = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["name", "version", "extensions"],
    }
    return {
        "/v2": _get("server", "The server's name, version and extensions", server),
        "/v2/health/live": _get("live", "Whether the process lives", _flag("live")),
        "/v2/health/ready": _get("ready", "Whether the model answers", _flag("ready")),
    }


def _model_paths(base: str, suffix: str) -> Schema:
    metadata = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": _NAMED_TENSORS,
            "outputs": _NAMED_TENSORS,
        },
        "required": ["name", "versions", "platform", "inputs", "outputs"],
    }
    binary: Schema = {"application/octet-stream": {}}
    infer = _post(
        "infer" + suffix,
        "Run the model (Open Inference Protocol v2, JSON or binary tensors)",
        _json(_reference("InferRequest")) | binary,
        _json(_reference("InferResponse")) | binary,
        description=_BINARY,
    )
    return {
        base: _get("metadata" + suffix, "The model's inputs and outputs", metadata),
        base + "/ready": _get("model_ready" + suffix, "Whether the model answers", _flag("ready")),
        base + "/infer": infer,
    }


def describe_api(manifest: Manifest, session: Session, hooks: Hooks | None) -> Schema:
    """The whole document."""
    schemas: Schema = {"Error": _ERROR}
    before = hooks is not None and hooks.preprocess is not None
    after = hooks is not None and hooks.postprocess is not None
    schemas["PredictRequest"] = {} if before else predict_request(session, schemas)
    schemas["PredictResponse"] = {} if after else predict_response(session, schemas)
    schemas["InferRequest"] = infer_request(session)
    schemas["InferResponse"] = infer_response(session)
    # A preprocess hook reads what it likes, an image say.
    sent: Schema = {"*/*": {"schema": {}}} if before else _json(_reference("PredictRequest"))
    base = "/v2/models/" + _escape(manifest.name)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": manifest.name,
            "version": manifest.version,
            "description": f"An ONNX model served by coldpress {__version__}.",
        },
        "paths": {
            "/predict": _post("predict", "Run the model (plain JSON)", sent, _json(_reference("PredictResponse"))),
            **_model_paths(base, ""),
            **_model_paths(f"{base}/versions/{_escape(manifest.version)}", "_version"),
            **_health(),
            "/openapi.json": _get("openapi", "This document", {"type": "object"}),
        },
        "components": {"schemas": schemas},
    }
