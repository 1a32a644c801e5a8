"""Sequences, maps and optional values as JSON: for the few models whose signature has them."""

from __future__ import annotations

from coldpress_runtime.binary import decode
from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_tensors import plain, read_flat, read_nested
from coldpress_runtime.json_text import describe, dump, parse
from coldpress_runtime.ort import ValueInfo
from coldpress_runtime.tensor import DTYPES, Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["read_composite", "read_texts", "write_texts"]


def read_composite(value: Any, info: ValueInfo) -> Any:
    """A plain JSON value to a sequence (list), an optional (its value or None) or a map (dict)."""
    if info.kind == "optional" and info.item is not None:
        return None if value is None else read_nested(value, info.item)
    if info.kind == "sequence" and info.item is not None:
        if type(value) is not list:
            raise RequestError(f"Input {info.name!r} is a sequence: found {describe(value)}, expected a list.")
        return [read_nested(item, info.item) for item in value]
    if info.kind == "map":
        if type(value) is not dict:
            raise RequestError(f"Input {info.name!r} is a map: found {describe(value)}, expected an object.")
        return {_key(key, info): _number(item, info) for key, item in value.items()}
    raise RequestError(f"Input {info.name!r} is a {info.kind}, which no request can carry.")


def _key(key: str, info: ValueInfo) -> Any:
    """JSON's keys are strings; the map's may be whole numbers."""
    if info.key is None or info.key.name == "BYTES":
        return key
    digits = key.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise RequestError(f"Input {info.name!r}: the key {describe(key)} is no {info.key.name}.")
    return int(key)


def _number(item: Any, info: ValueInfo) -> Any:
    """Check one value of a map as if it were a scalar of the map's own datatype."""
    if info.value is None:
        raise RequestError(f"Input {info.name!r} is a map of values that no request can carry.")
    if type(item) is list:  # a shape without axes means any shape elsewhere
        raise RequestError(f"Input {info.name!r} is a map: a value is {describe(item)}, expected {info.value.name}.")
    return read_nested(item, ValueInfo(info.name, "tensor", info.value, ())).flat()[0]


def read_texts(item: dict[str, Any], shape: tuple[int, ...], info: ValueInfo, tail: memoryview) -> Any:
    """A v2 input: a BYTES tensor of JSON texts, one for each element of a sequence, else exactly one."""
    strings = ValueInfo(info.name, "tensor", DTYPES["BYTES"], ())
    if len(shape) != 1 or (info.kind != "sequence" and shape != (1,)):
        raise RequestError(
            f"Input {info.name!r} is a {info.kind}: shape is {list(shape)}, expected one axis of JSON texts."
        )
    tensor = (
        read_flat(item["data"], shape, strings) if "data" in item else decode(tail, DTYPES["BYTES"], shape, info.name)
    )
    values = [parse(text) for text in tensor.data]
    return read_composite(values if info.kind == "sequence" else values[0], info)


def write_texts(value: Any) -> Tensor:
    """An output that is no tensor, as a BYTES tensor of JSON texts; an absent optional has none."""
    if value is None:
        items = []
    elif isinstance(value, list):
        items = value
    else:
        items = [value]
    texts = [dump(plain(item)) for item in items]
    return Tensor(DTYPES["BYTES"], (len(texts),), texts)
