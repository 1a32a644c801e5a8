"""JSON Schemas of a model's inputs and outputs, in plain JSON and in the Open Inference Protocol.

Those of requests are as exact as JSON Schema allows: datatypes with their ranges, the sizes of fixed axes, the names of
the inputs. It cannot say that rows of an open axis are equally long, nor that ``shape`` and ``data`` agree. Those of
responses name the outputs and their nesting but not their sizes, because the shapes that models declare for outputs
are sometimes wrong.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coldpress_runtime.ort import Session, ValueInfo

    Schema = dict[str, Any]

__all__ = ["infer_request", "infer_response", "predict_request", "predict_response"]

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


def predict_request(session: Session, schemas: Schema) -> Schema:
    """The body of ``POST /predict``; adds the schemas it refers to."""
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


def predict_response(session: Session, schemas: Schema) -> Schema:
    """The answer of ``POST /predict``; adds the schemas it refers to."""
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


def infer_request(session: Session) -> Schema:
    """The JSON of ``POST .../infer``."""
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


def infer_response(session: Session) -> Schema:
    """The JSON of its answer."""
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
