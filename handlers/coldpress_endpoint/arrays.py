"""Bodies <-> arrays, as every JSON protocol needs them: coldpress_runtime's checks, and orjson where it pays.

What is read goes through coldpress_runtime's readers, so that a request is taken, or refused with the same sentence,
here as in a function. What is written is orjson's when it can be: numbers may be spelled shorter, and are the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import orjson

from coldpress_endpoint.model import Model
from coldpress_runtime import json_text
from coldpress_runtime.errors import RequestError
from coldpress_runtime.tensor import Tensor

__all__ = ["dump", "fits_json", "nbytes", "off_loop", "parse", "to_arrays", "to_tensors", "widened"]

_Result = TypeVar("_Result")
_LARGE = 1 << 16  # bytes whose reading or writing would hold up everybody else's answers


async def off_loop(size: int, function: Callable[..., _Result], *arguments: Any) -> _Result:
    """Call a function that reads or writes ``size`` bytes: on a thread when they are many."""
    if size < _LARGE:
        return function(*arguments)
    return await asyncio.to_thread(function, *arguments)


def parse(body: bytes) -> Any:
    """Parse a body as coldpress_runtime does, quicker; raises RequestError.

    orjson keeps the last of two equal keys without a word. So the quotes in the text are compared with those of the
    document; where they differ, for whatever reason, the slower reader decides.
    """
    try:
        document = orjson.loads(body)
    except ValueError:
        return json_text.parse(body)
    if body.count(b'"') != 2 * _strings(document):
        return json_text.parse(body)
    return document


def _strings(value: Any) -> int:
    """How many strings a document has, keys included; those in lists that begin with a number are not looked for."""
    if type(value) is dict:
        return len(value) + sum(map(_strings, value.values()))
    if type(value) is list:
        first = value
        while type(first) is list and first:
            first = first[0]
        return sum(map(_strings, value)) if type(first) in {str, dict} else 0
    return type(value) is str


def to_arrays(values: Mapping[str, Any]) -> dict[str, Any]:
    """What coldpress_runtime's readers give, as the engine takes it; raises RequestError for text that is not UTF-8."""
    return {name: _to_array(value, name) for name, value in values.items()}


def _to_array(value: Any, name: str) -> Any:
    if isinstance(value, Tensor):
        if value.dtype.name == "BYTES":
            try:
                for text in value.data:
                    text.decode()
            except UnicodeDecodeError:
                raise RequestError(f"Input {name!r} holds bytes that are not UTF-8 text; send text.") from None
        array = value.numpy()
        return array if array.flags.aligned else array.copy()
    if isinstance(value, list):
        return [_to_array(item, name) for item in value]
    return value


def to_tensors(outputs: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """What the engine gives, as coldpress_runtime's writers take it."""
    return {name: _to_tensor(value, model.output_infos[name].dtype) for name, value in outputs.items()}


def _to_tensor(value: Any, dtype: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Tensor.from_numpy(value, dtype)
    if isinstance(value, list):
        return [_to_tensor(item, None) for item in value]
    return value


def nbytes(outputs: Mapping[str, Any]) -> int:
    """Bytes of the arrays among these."""
    return sum([value.nbytes for value in outputs.values() if type(value) is np.ndarray])


def fits_json(outputs: Mapping[str, Any], limit: int) -> bool:
    """Whether orjson can write these: arrays of numbers, none of them empty, too large, or without axes."""
    size = 0
    for value in outputs.values():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub" or not (value.ndim and value.size):
            return False
        size += value.size
    return 2 * size <= limit


def widened(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """An array whose numbers a caller reads as those that a function would have written.

    JSON knows doubles alone: the FP32 nearest to 0.6 is 0.6000000238418579 there, and 0.6 is another number.
    """
    return value.astype(np.float64) if value.dtype.kind == "f" else value


def dump(document: Any) -> bytes | None:
    """Write a document with arrays in it as JSON; None when it may hold a float that is not finite, or is no JSON."""
    try:
        text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        return None
    return None if b"null" in text else text  # what orjson makes of NaN and infinities
