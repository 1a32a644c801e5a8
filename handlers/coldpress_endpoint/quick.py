"""The usual requests, read quickly: numbers in JSON for every input, and nothing else in the body.

Whatever is not as usual, right or wrong, is left to coldpress_runtime's readers, which know all there is to know about
it: each function here returns None for it. What is read here, they would read as the same values.

orjson keeps the last of two equal keys without a word, so the quotes in the body are counted; and numpy takes true for
1, so bodies with a word in them that JSON writes without quotes are not usual either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from coldpress_runtime.signature import ValueInfo

__all__ = ["read_infer", "read_predict"]

Infos = Mapping[str, ValueInfo]
_FLOATS = {"FP32", "FP64"}
_INTEGERS = {"INT64", "INT32", "INT16", "INT8", "UINT8", "UINT16", "UINT32"}
_ITEM = {"name", "shape", "datatype", "data"}


def read_predict(body: bytes, inputs: Infos) -> tuple[dict[str, Any], int | None] | None:
    """Read ``{"inputs": {...}}``, or ``{"instances": [...]}`` of a model with one input; how many for the latter."""
    document = _load(body)
    if type(document) is not dict or len(document) != 1:
        return None
    values, count = document.get("inputs"), None
    if type(values) is not dict:
        values = document.get("instances")
        if type(values) is not list or not values or len(inputs) != 1:
            return None
        values, count = dict.fromkeys(inputs, values), len(values)
    if values.keys() != inputs.keys() or body.count(b'"') != 2 + (0 if count else 2 * len(values)):
        return None
    arrays = _arrays(values, inputs)
    return None if arrays is None else (arrays, count)


def read_infer(body: bytes, inputs: Infos) -> tuple[dict[str, Any], str | None] | None:
    """Read a v2 request for all outputs as JSON, its inputs flat or nested; returns its id as well."""
    document = _load(body)
    if type(document) is not dict:
        return None
    identity, items = document.get("id"), document.get("inputs")
    if type(items) is not list or len(items) != len(inputs):
        return None
    strings = 1 + 6 * len(items)
    if "id" in document:
        if type(identity) is not str:
            return None
        strings += 2
    if len(document) != 1 + ("id" in document) or body.count(b'"') != 2 * strings:
        return None
    arrays = {}
    for item in items:
        if type(item) is not dict or item.keys() != _ITEM or item["name"] not in inputs:
            return None
        info, shape = inputs[item["name"]], item["shape"]
        if info.dtype is None or item["datatype"] != info.dtype.name or type(shape) is not list:
            return None
        array = _array(item["data"], info, shape)
        if array is None:
            return None
        arrays[info.name] = array
    return (arrays, identity) if len(arrays) == len(inputs) else None


def _load(body: bytes) -> Any:
    if b"true" in body or b"false" in body or b"null" in body:
        return None
    try:
        return orjson.loads(body)
    except ValueError:
        return None


def _arrays(values: Mapping[str, Any], inputs: Infos) -> dict[str, Any] | None:
    arrays = {}
    for name, value in values.items():
        array = _array(value, inputs[name], None)
        if array is None:
            return None
        arrays[name] = array
    return arrays


def _array(value: Any, info: ValueInfo, shape: list[Any] | None) -> Any:
    """Nested lists of numbers as the array that the input takes, in the shape that the caller says, if any."""
    if info.kind != "tensor" or info.dtype is None or not info.shape or type(value) is not list:
        return None
    name = info.dtype.name
    try:
        with np.errstate(over="ignore"):
            array = np.array(value, info.dtype.numpy if name in _FLOATS else None)
    except (ValueError, TypeError, OverflowError):  # ragged, objects, or an integer beyond every float
        return None
    if not array.size:
        return None
    if shape is not None and list(array.shape) != shape:
        if array.ndim != 1:
            return None
        try:
            array = array.reshape(shape)
        except (ValueError, TypeError):  # sizes at odds, or no sizes
            return None
        if list(array.shape) != shape:  # -1 is a size to numpy
            return None
    if array.ndim != len(info.shape):
        return None
    for want, got in zip(info.shape, array.shape, strict=True):
        if want != got and type(want) is int:
            return None
    if name in _FLOATS:
        # A number beyond the type; JSON has no other that is not finite.
        return array if np.isfinite(array).all() else None
    if array.dtype.kind != "i":
        return None
    if name == "INT64":
        return array
    if name in _INTEGERS:
        narrow = array.astype(info.dtype.numpy)
        return narrow if (narrow == array).all() else None
    return None
