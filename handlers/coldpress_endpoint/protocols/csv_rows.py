"""Rows of comma-separated values, without a header, as SageMaker's clients send tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_tensors import read_flat, shape_text
from coldpress_runtime.ort import ValueInfo

__all__ = ["read_csv", "write_csv"]

_LARGEST_CELL = 1 << 24
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def read_csv(body: bytes, infos: Mapping[str, ValueInfo]) -> tuple[dict[str, Any], int]:
    """Read a table; returns tensors by input name, and how many rows.

    The columns belong to the inputs in the model's order: as many to each as a row of it has elements. One input may
    have an open axis; it takes what the others leave.
    """
    rows = _rows(body)
    values: dict[str, Any] = {}
    start = 0
    for info, trailing in _trailing(infos, len(rows[0])):
        width = prod(trailing)
        kind = info.dtype.name if info.dtype else ""
        cells = [_cell(cell, kind) for row in rows for cell in row[start : start + width]]
        values[info.name] = read_flat(cells, (len(rows), *trailing), info)
        start += width
    return values, len(rows)


def _rows(body: bytes) -> list[list[str]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"The body is not UTF-8 text (byte {error.start}); send CSV in UTF-8.") from None
    csv.field_size_limit(_LARGEST_CELL)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise RequestError(f"The body is not CSV: {error}.") from None
    if not rows:
        raise RequestError("The body has no rows; send a line of comma-separated values for each.")
    for place, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise RequestError(
                f"Row {place} has {len(row)} columns beside {len(rows[0])} in the first; send as many in every row."
            )
    return rows


def _trailing(infos: Mapping[str, ValueInfo], columns: int) -> list[tuple[ValueInfo, tuple[int, ...]]]:
    """Each input's axes after the rows, so that they take ``columns`` together."""
    found: list[tuple[ValueInfo, tuple[int, ...]]] = []
    open_place, taken = None, 0
    for place, info in enumerate(infos.values()):
        if info.kind != "tensor":
            raise RequestError(f"Input {info.name!r} is a {info.kind}, which has no columns; send JSON.")
        axes = info.shape[1:] if info.shape else (None,)
        unknown = [axis for axis, size in enumerate(axes) if type(size) is not int]
        if unknown and (open_place is not None or len(unknown) > 1):
            raise RequestError(
                f"Input {info.name!r} has shape {shape_text(info.shape)}, which columns cannot fill; send JSON."
            )
        sizes = tuple(size if type(size) is int else 1 for size in axes)
        if unknown:
            open_place = place
        else:
            taken += prod(sizes)
        found.append((info, sizes))
    if open_place is not None:
        info, sizes = found[open_place]
        axes = info.shape[1:] if info.shape else (None,)
        step = prod(sizes)
        left = columns - taken
        if left > 0 and step and left % step == 0:
            found[open_place] = info, tuple(size if type(size) is int else left // step for size in axes)
            return found
    elif taken == columns:
        return found
    wanted = ", ".join(f"{info.name!r} {shape_text(info.shape)}" for info in infos.values())
    raise RequestError(f"A row has {columns} columns, which do not make up this model's inputs: {wanted}.")


def _cell(text: str, kind: str) -> Any:
    """A cell as the number that it spells; what spells none stays as it is, for the reader of tensors to refuse."""
    if kind == "BYTES":
        return text
    if kind == "BOOL":
        return _BOOLEANS.get(text.strip().lower(), text)
    if "_" not in text:
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text


def write_csv(rows: Iterable[Iterable[Any]]) -> bytes:
    """Write rows of JSON values: lists and objects side by side, in their order."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([list(_flat(list(row))) for row in rows])
    return file.getvalue().encode("utf-8", "surrogateescape")


def _flat(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _flat(item)
    else:
        yield {True: "true", False: "false"}[value] if isinstance(value, bool) else value
