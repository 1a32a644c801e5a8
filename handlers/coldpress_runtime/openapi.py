"""``GET /openapi.json``: this function's interface as OpenAPI 3.1, from the model's own signature.

The schemas of requests are as exact as JSON Schema allows: datatypes with their ranges, the sizes of fixed axes, the
names of the inputs. What it cannot say stands in descriptions: that rows of an open axis are equally long, and that
``shape`` and ``data`` agree. Schemas of responses name the outputs and their nesting but not their sizes, because the
shapes that models declare for outputs are sometimes wrong.
"""

from __future__ import annotations

from coldpress_runtime import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coldpress_runtime.hooks import Hooks
    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.ort import Session, ValueInfo

    Schema = dict[str, Any]

__all__ = ["describe_api"]

#: From here on a number rounds to infinity: half a step above the largest finite value (IEEE 754 rounding to nearest).
_TOO_LARGE = {
    "FP16": 65520.0,
    "BF16": (2 - 2**-8) * 2.0**127,
    "FP32": (2 - 2**-24) * 2.0**127,
    "FLOAT8E4M3FN": 464.0,
    "FLOAT8E4M3FNUZ": 248.0,
    "FLOAT8E5M2": 61440.0,
    "FLOAT8E5M2FNUZ": 61440.0,
}
_FP64_MAX = 1.7976931348623157e308
_NOT_FINITE = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
_BASE64 = {
    "type": "object",
    "properties": {
        "b64": {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
        }
    },
    "required": ["b64"],
    "additionalProperties": False,
}
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


def _element(dtype: str, *, response: bool) -> Schema:
    if dtype == "FP64" or dtype in _TOO_LARGE:
        number: Schema = {"type": "number"}
        if response:
            pass
        elif dtype == "FP64":
            number |= {"minimum": -_FP64_MAX, "maximum": _FP64_MAX}
        else:
            number |= {"exclusiveMinimum": -_TOO_LARGE[dtype], "exclusiveMaximum": _TOO_LARGE[dtype]}
        return {"anyOf": [number, _NOT_FINITE]}
    if dtype == "BOOL":
        return {"type": "boolean"}
    if dtype == "BYTES":
        return {"anyOf": [{"type": "string"}, _BASE64]}
    if "INT" in dtype:
        bits = int(dtype.rpartition("INT")[2])
        low, high = (0, (1 << bits) - 1) if dtype.startswith("U") else (-(1 << bits - 1), (1 << bits - 1) - 1)
        return {"type": "integer", "minimum": low, "maximum": high}
    if response:
        return {"type": "array", "items": {"anyOf": [{"type": "number"}, _NOT_FINITE]}}  # a complex number's parts
    return {"not": {}}  # a type that JSON has no values for; binary data only


def _nested(element: Schema, shape: Sequence[int | str | None], *, sizes: bool) -> Schema:
    schema = element
    for dim in reversed(shape):
        schema = {"type": "array", "items": schema}
        if sizes and type(dim) is int:
            schema |= {"minItems": dim, "maxItems": dim}
    return schema


def _any_depth(name: str, element: Schema) -> Schema:
    """A value or lists of lists of it: for a tensor whose rank the model leaves open, or which is a scalar."""
    return {"anyOf": [element, {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}]}


def _key(name: str) -> str:
    """A component's key, which OpenAPI keeps to letters, digits and ``._-``."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else f"-{ord(c):x}-" for c in name)


def _value(info: ValueInfo, schemas: Schema, prefix: str, *, response: bool) -> Schema:
    """The plain JSON form of one input or output."""
    if info.kind == "tensor" and info.dtype is not None:
        element = _element(info.dtype.name, response=response)
        if info.shape:
            return _nested(element, info.shape, sizes=not response)
        key = f"{prefix}-{_key(info.name)}"
        schemas[key] = _any_depth(key, element)
        return {"$ref": f"#/components/schemas/{key}"}
    if info.kind == "sequence" and info.item is not None:
        return {"type": "array", "items": _value(info.item, schemas, prefix + "-item", response=response)}
    if info.kind == "optional" and info.item is not None:
        return {"anyOf": [{"type": "null"}, _value(info.item, schemas, prefix + "-item", response=response)]}
    if info.kind == "map":
        return {"type": "object"}
    return {}


def _named(infos: Sequence[ValueInfo], schemas: Schema, prefix: str, *, response: bool) -> Schema:
    return {
        "type": "object",
        "properties": {info.name: _value(info, schemas, prefix, response=response) for info in infos},
        "required": [info.name for info in infos if response or info.kind != "optional"],
        "additionalProperties": False,
    }


def _row(info: ValueInfo) -> Schema | None:
    """One instance's share of an input, None when the input has no rows."""
    if info.kind != "tensor" or info.dtype is None or not info.shape or type(info.shape[0]) is int:
        return None
    return _nested(_element(info.dtype.name, response=False), info.shape[1:], sizes=True)


def _predict_request(session: Session, schemas: Schema) -> Schema:
    parameters = {"type": ["object", "null"], "description": "For a preprocess hook; ignored without one."}
    by_name = {
        "type": "object",
        "properties": {"inputs": _named(session.inputs, schemas, "input", response=False), "parameters": parameters},
        "required": ["inputs"],
        "additionalProperties": False,
    }
    rows = {info.name: _row(info) for info in session.inputs}
    if not rows or None in rows.values():
        return by_name
    row: Schema = {"type": "object", "properties": rows, "required": list(rows), "additionalProperties": False}
    # All instances are rows or all are objects, as the first one is.
    lists = [{"type": "array", "items": row, "minItems": 1}]
    if len(rows) == 1:
        lists.append({"type": "array", "items": next(iter(rows.values())), "minItems": 1})
    by_row = {
        "type": "object",
        "properties": {"instances": {"anyOf": lists}, "parameters": parameters},
        "required": ["instances"],
        "additionalProperties": False,
    }
    return {"anyOf": [by_name, by_row]}


def _predict_response(session: Session, schemas: Schema) -> Schema:
    outputs = _named(session.outputs, schemas, "output", response=True)
    return {
        "anyOf": [
            {"type": "object", "properties": {"outputs": outputs}, "required": ["outputs"]},
            {"type": "object", "properties": {"predictions": {"type": "array"}}, "required": ["predictions"]},
        ]
    }


def _tensor(info: ValueInfo, *, response: bool) -> Schema:
    """One element of ``inputs`` or ``outputs`` in the protocol."""
    composite = info.kind != "tensor" or info.dtype is None
    dtype = "BYTES" if composite or info.dtype is None else info.dtype.name
    dims: Schema = {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}
    shape: Schema = {"type": "array", "items": dims}
    if not response and not composite and info.shape:
        shape = {
            "type": "array",
            "prefixItems": [{"const": dim} if type(dim) is int else dims for dim in info.shape],
            "items": False,
            "minItems": len(info.shape),
        }
    data: Schema = {"type": "array", "description": "Row-major, flat or nested like the shape."}
    if response or composite:
        data["items"] = _element(dtype, response=response)
    return {
        "type": "object",
        "properties": {
            "name": {"const": info.name},
            "datatype": {"const": dtype},
            "shape": shape,
            "data": data,
            "parameters": {"type": "object"} if response else {"type": ["object", "null"]},
        },
        "required": ["name", "shape", "datatype"] if response else ["name", "shape", "datatype", "data"],
    }


def _infer_request(session: Session) -> Schema:
    items = [_tensor(info, response=False) for info in session.inputs]
    required = sum(info.kind != "optional" for info in session.inputs)
    asked = {
        "type": "object",
        "properties": {
            "name": {"enum": [info.name for info in session.outputs]},
            "parameters": {"type": ["object", "null"], "properties": {"binary_data": {"type": "boolean"}}},
        },
        "required": ["name"],
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "properties": {"binary_data_output": {"type": "boolean"}}},
            "inputs": {"type": "array", "items": {"anyOf": items}, "minItems": required, "maxItems": len(items)},
            "outputs": {"type": ["array", "null"], "items": asked},
        },
        "required": ["inputs"],
    }


def _infer_response(session: Session) -> Schema:
    return {
        "type": "object",
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {
                "type": "array",
                "items": {"anyOf": [_tensor(info, response=True) for info in session.outputs]},
            },
        },
        "required": ["model_name", "model_version", "outputs"],
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
    schemas["PredictRequest"] = {} if before else _predict_request(session, schemas)
    schemas["PredictResponse"] = {} if after else _predict_response(session, schemas)
    schemas["InferRequest"] = _infer_request(session)
    schemas["InferResponse"] = _infer_response(session)
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
