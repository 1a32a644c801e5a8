"""Columns that are arrays already, of NumPy or Arrow: their numbers as the model takes them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.batch.chunks import RAW_BYTES, Reject, Rows
from coldpress_runtime.batch.features import has_batch_axis
from coldpress_runtime.http import Request
from coldpress_runtime.json_text import describe, dump
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.signature import ValueInfo

    Array = np.ndarray[Any, Any]

__all__ = ["document", "fit", "preprocessed_arrays", "rows_of_arrays"]


def rows_of_arrays(
    first: int, arrays: Mapping[str, Array], signature: Signature, record: Callable[[int], bytes] | None = None
) -> Rows:
    """Return rows of arrays; a record with a number that its input cannot hold is a reject.

    Args:
        first: number of the first record.
        arrays: ``(k, ...)`` by input name, an item a record.
        signature: what the model takes.
        record: returns a record for the rejects file, by its place; as JSON by default.
    """
    record = record or partial(document, arrays)
    count = len(next(iter(arrays.values())))
    made: dict[str, Array] = {}
    reasons: dict[int, str] = {}
    for name, values in arrays.items():
        made[name], wrong = fit(values, signature.inputs[name])
        reasons = wrong | reasons
    good = np.ones(count, bool)
    good[list(reasons)] = False
    columns: dict[str, Any] = {}
    for name, values in made.items() if good.any() else ():
        kept = values if good.all() else values[good]
        info = signature.inputs[name]
        columns[name] = kept if has_batch_axis(info) else [Tensor.from_numpy(np.array(one), info.dtype) for one in kept]
    rejects = [Reject(first + place, reasons[place], record(place)) for place in sorted(reasons)]
    return Rows(np.flatnonzero(good) + first, columns, rejects)


def preprocessed_arrays(first: int, arrays: Mapping[str, Array], signature: Signature) -> Rows:
    """Return what ``preprocess`` makes of records, each a JSON object of values by the array's name."""
    count = len(next(iter(arrays.values())))
    bodies = (document(arrays, place, limit=None) for place in range(count))
    requests = (Request("POST", "/predict", {"content-type": "application/json"}, body) for body in bodies)
    return signature.preprocessed(range(first, first + count), requests)


def document(arrays: Mapping[str, Array], place: int, limit: int | None = RAW_BYTES) -> bytes:
    """Return one record as JSON; a single array without a name is its value alone."""
    values = {
        name: array[place].tolist() if hasattr(array[place], "tolist") else array[place]
        for name, array in arrays.items()
    }
    return dump(values[""] if values.keys() == {""} else values)[:limit]


def fit(values: Array, info: ValueInfo) -> tuple[Array, dict[int, str]]:
    """Convert values to an input's dtype.

    Args:
        values: ``(k, ...)`` of any dtype.
        info: the input.

    Returns:
        The array as the engine takes it, object of ``str`` or ``bytes`` for BYTES; and by place on the first axis why
        that record does not fit: a number out of range or with a fraction, or none at all.
    """
    dtype = info.dtype
    assert dtype is not None  # noqa: S101 - every tensor has an element type
    kind = values.dtype.kind
    if dtype.name == "BYTES":
        texts = values.astype(object)
        return texts, {} if kind in "US" else _refused(texts, ~np.frompyfunc(_is_text, 1, 1)(texts).astype(bool), info)
    if kind not in "biufc" or (kind == "c") != dtype.name.startswith("COMPLEX"):
        return np.zeros(values.shape, dtype.numpy), _refused(values, np.ones(values.shape, bool), info)
    if not dtype.code and kind != "c":
        return _narrow(values, info)
    with np.errstate(over="ignore", invalid="ignore"):
        made = values.astype(dtype.numpy)
        if made.dtype.kind in "fc":
            wrong = ~np.isfinite(made) & np.isfinite(values)
        else:
            wrong = (made != values) | ((made < 0) != (values < 0))
            if kind == "f" and made.dtype.kind in "iu":  # beyond its range, a cast gives what the processor likes
                limits = np.iinfo(made.dtype)
                wrong |= ~((values >= float(limits.min)) & (values < float(limits.max) + 1))
    return made, _refused(values, wrong, info)


def _is_text(value: Any) -> bool:
    return isinstance(value, (str, bytes))


def _narrow(values: Array, info: ValueInfo) -> tuple[Array, dict[int, str]]:
    """Types that numpy lacks, record by record."""
    assert info.dtype is not None  # noqa: S101 - every tensor has an element type
    made = np.zeros(values.shape, info.dtype.numpy)
    wrong = np.zeros(values.shape, bool)
    for place, record in enumerate(values):
        flat = np.ravel(record).tolist()
        try:
            made[place] = Tensor.from_flat(info.dtype, np.shape(record), flat).numpy()
        except (OverflowError, ValueError):
            wrong[place] = True
    return made, _refused(values, wrong, info)


def _refused(values: Array, wrong: Array, info: ValueInfo) -> dict[int, str]:
    reasons = {}
    for place in np.flatnonzero(wrong.reshape(len(wrong), -1).any(1)).tolist() if wrong.size else ():
        element = int(np.argmax(np.ravel(wrong[place])))
        found = np.ravel(values[place])[element]
        found = found.item() if hasattr(found, "item") else found
        name = info.dtype.name if info.dtype else ""
        shown = (
            describe(found)
            if isinstance(found, (str, float, int, type(None), list, dict))
            else f"a {type(found).__name__}"
        )
        reasons[place] = f"Input {info.name!r} is {name}: element {element} is {shown}, which {name} cannot hold."
    return reasons
