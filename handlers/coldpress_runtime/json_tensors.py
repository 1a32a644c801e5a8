"""JSON values <-> tensors, checked against the model's signature.

Nothing is allocated from a number that a caller wrote: a shape is believed only after it has been compared with the
elements that are really there. Lists are walked level by level, so depth costs no recursion, and each level is
checked and flattened by C loops.
"""

from __future__ import annotations

from itertools import chain
from math import isfinite

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_text import Constant, describe
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from coldpress_runtime.ort import ValueInfo
    from coldpress_runtime.tensor import DType

__all__ = ["check_shape", "least_bytes", "plain", "read_flat", "read_nested", "shape_text"]

_FLOATS = {
    "FP16", "FP32", "FP64", "BF16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ",
}  # fmt: skip
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_MAX_RANK = 64
#: An empty tensor may still claim long axes beside its empty one, and a model that reduces over the empty one would
#: allocate them. So the open axes of an empty tensor multiply to no more than this.
_MAX_EMPTY = 1 << 16


def shape_text(shape: Sequence[int | str | None]) -> str:
    """A shape for people: ``[?, 64]``, with ``?`` or the axis's name where any size will do."""
    return "[" + ", ".join("?" if dim is None else str(dim)[:24] for dim in shape) + "]"


def check_shape(shape: tuple[int, ...], info: ValueInfo) -> None:
    """Compare a shape with the signature; raises RequestError.

    ONNX Runtime reports a tensor of unknown rank and a scalar alike, as a shape without axes: then any shape passes
    here and the engine has the last word.
    """
    expected = info.shape
    if expected and (
        len(shape) != len(expected)
        or any(type(want) is int and want != got for want, got in zip(expected, shape, strict=True))
    ):
        raise RequestError(
            f"Input {info.name!r} has shape {shape_text(shape)}, expected {shape_text(expected)}"
            + (f": {len(expected)} axes." if len(shape) != len(expected) else ".")
        )
    if 0 in shape:
        open_axes = 1
        for place, dim in enumerate(shape):
            if dim and not (expected and type(expected[place]) is int):
                open_axes *= dim
        if open_axes > _MAX_EMPTY:
            raise RequestError(
                f"Input {info.name!r} has shape {shape_text(shape)}: it holds no element, and its other axes are "
                f"too long; send at most {_MAX_EMPTY}."
            )


def _flatten(value: Any, name: str, rank: int) -> tuple[tuple[int, ...], list[Any]]:
    """Nested lists to a shape and the leaves in row-major order; ragged lists are refused."""
    if type(value) is not list:
        return (), [value]
    shape = [len(value)]
    items = value
    while items and type(items[0]) is list:
        if len(shape) >= rank:
            raise RequestError(f"Input {name!r} is nested more than {rank} deep, expected {rank} axes.")
        width = len(items[0])
        if set(map(type, items)) != {list} or set(map(len, items)) != {width}:
            place = next(i for i, item in enumerate(items) if type(item) is not list or len(item) != width)
            raise RequestError(
                f"Input {name!r} is ragged: on axis {len(shape)}, element {place} is {describe(items[place])} "
                f"beside a list of {width}; every row must be as long as the first."
            )
        shape.append(width)
        items = list(chain.from_iterable(items))
    return tuple(shape), items


def _bytes_of(value: Any, name: str, place: int) -> bytes:
    if type(value) is str:
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise RequestError(f"Input {name!r}: element {place} holds half of a surrogate pair.") from None
    if type(value) is dict and value.keys() == {"b64"} and type(value["b64"]) is str:
        import binascii  # noqa: PLC0415 - rare

        try:
            return binascii.a2b_base64(value["b64"], strict_mode=True)
        except ValueError:
            raise RequestError(f"Input {name!r}: element {place} is not valid base64.") from None
    raise RequestError(
        f'Input {name!r} is BYTES: element {place} is {describe(value)}, expected a string or {{"b64": "..."}}.'
    )


def _integer(value: Any, name: str, dtype: str, place: int) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():  # JSON has one kind of number, and 1.0 is a whole one
        return int(value)
    raise RequestError(f"Input {name!r} is {dtype}: element {place} is {describe(value)}, expected a whole number.")


def _number(value: Any, name: str, dtype: str, place: int) -> float:
    kind = type(value)
    if kind is int or kind is Constant or (kind is float and value - value == 0):
        return value  # type: ignore[no-any-return]
    if kind is str and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    found = f"Input {name!r} is {dtype}: element {place} is {describe(value)}"
    if kind is float:
        raise RequestError(f"{found}, which {dtype} cannot hold.")
    raise RequestError(f'{found}, expected a number, "NaN", "Infinity" or "-Infinity".')


def _all_finite(items: list[Any]) -> bool:
    """Whether a list of numbers holds no infinity or NaN; may say no when their sum is out of range."""
    try:
        return isfinite(sum(items))
    except OverflowError:  # an integer beyond every float; what holds it will say so
        return False


def _tensor(items: list[Any], shape: tuple[int, ...], dtype: DType, name: str) -> Tensor:
    kind = dtype.name
    kinds = set(map(type, items))
    values: list[Any] = items
    if kind in _FLOATS:
        if not kinds <= {float, int} or not _all_finite(items):
            values = [_number(item, name, kind, place) for place, item in enumerate(items)]
    elif kind == "BYTES":
        return Tensor(dtype, shape, [_bytes_of(item, name, place) for place, item in enumerate(items)])
    elif kind == "BOOL":
        if not kinds <= {bool}:
            place = next(place for place, item in enumerate(items) if type(item) is not bool)
            raise RequestError(
                f"Input {name!r} is BOOL: element {place} is {describe(items[place])}, expected true or false."
            )
    elif "INT" in kind:
        if not kinds <= {int}:
            values = [_integer(item, name, kind, place) for place, item in enumerate(items)]
    else:
        raise RequestError(f"Input {name!r} is {kind}, which JSON cannot carry; send its bytes as binary data.")
    try:
        return Tensor.from_flat(dtype, shape, values)
    except (OverflowError, ValueError):
        place = _first_out_of_range(dtype, values)
        raise RequestError(
            f"Input {name!r} is {kind}: element {place} is {describe(values[place])}, which {kind} cannot hold."
        ) from None


def _first_out_of_range(dtype: DType, values: list[Any]) -> int:
    start, end = 0, len(values)  # the one looked for is in values[start:end]
    while end - start > 1:
        middle = (start + end) // 2
        try:
            Tensor.from_flat(dtype, (middle - start,), values[start:middle])
            start = middle
        except (OverflowError, ValueError):
            end = middle
    return start


def read_nested(value: Any, info: ValueInfo) -> Any:
    """A JSON value to what the engine takes for this input; raises RequestError.

    Tensors come as nested lists, sequences as lists, maps as objects, an absent optional as null.
    """
    if info.kind != "tensor":
        from coldpress_runtime.json_composites import read_composite  # noqa: PLC0415 - few models have any

        return read_composite(value, info)
    dtype, expected, name = info.dtype, info.shape, info.name
    assert dtype is not None  # noqa: S101 - every tensor has an element type
    if expected and type(value) is not list:
        raise RequestError(
            f"Input {name!r} is {describe(value)}, expected lists nested {len(expected)} deep, of shape "
            f"{shape_text(expected)}."
        )
    shape, items = _flatten(value, name, len(expected) or _MAX_RANK)
    if not items and len(shape) < len(expected):
        # An empty list does not say how long its missing axes are; the signature may.
        shape += tuple(dim if type(dim) is int else 0 for dim in expected[len(shape) :])
    check_shape(shape, info)
    return _tensor(items, shape, dtype, name)


def read_flat(data: Any, shape: tuple[int, ...], info: ValueInfo) -> Tensor:
    """The protocol's ``data``, flat in row-major order or nested like ``shape``; raises RequestError."""
    dtype, name = info.dtype, info.name
    assert dtype is not None  # noqa: S101 - every tensor has an element type
    if type(data) is not list:
        raise RequestError(f"Input {name!r}: data is {describe(data)}, expected a list.")
    found, items = _flatten(data, name, max(len(shape), 1))
    size = 1
    for dim in shape:
        size *= dim
    if len(found) > 1 and found != shape and items:
        raise RequestError(
            f"Input {name!r}: data is nested as {shape_text(found)}, but its shape says {shape_text(shape)}."
        )
    if len(items) != size:
        raise RequestError(
            f"Input {name!r}: data has {len(items)} elements, but shape {shape_text(shape)} needs "
            + (f"{size}." if size < 1 << 63 else "far more.")
        )
    return _tensor(items, shape, dtype, name)


def least_bytes(value: Any) -> int:
    """Fewer bytes than what the engine returned can take as JSON; nothing is built to find out."""
    if isinstance(value, Tensor):
        lists = 1
        for dim in value.shape:
            if not dim:  # no elements, and yet as many lists as the axes before it say
                break
            lists *= dim
        return 2 * lists
    return sum(map(least_bytes, value)) if isinstance(value, list) else 2


def plain(value: Any) -> Any:
    """What the engine returned, as JSON values: nested lists, lists of objects (for ZipMap), null."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
