"""Outputs to bytes: JSON Lines and CSV, a chunk of rows at a time.

A number is written in the fewest digits that give the same number of its own type back: 0.1 for a float32 that is
nearest to it. What JSON has no number for is written as the function's answers have it: ``"NaN"``, ``"Infinity"``.

Every output first becomes a list of texts, one for each row, by one call for all rows where that can be; the rows are
then put together in a single join.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson

from coldpress_runtime.batch.features import has_batch_axis
from coldpress_runtime.json_text import dump
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["CsvWriter", "JsonLinesWriter", "json_texts", "output_names"]

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
_NAN, _MORE, _LESS = b'"NaN"', b'"Infinity"', b'"-Infinity"'
_BARE = (b"NaN", b"Infinity", b"-Infinity")  # the same in CSV
_TAKEN = ("row", "file")
_QUOTED = (b",", b'"', b"\n", b"\r")  # what a CSV field holds only between quotes


def output_names(outputs: Sequence[ValueInfo]) -> list[str]:
    """The names under which outputs are written; ``row`` and ``file`` are taken."""
    taken = {info.name for info in outputs}
    names = []
    for info in outputs:
        name = info.name
        while name in _TAKEN or (name != info.name and name in taken):
            name = f"output_{name}"
        names.append(name)
    return names


class JsonLinesWriter:
    """Writes ``{"row":0,"label":3,"probabilities":[0.1,0.9]}``.

    Args:
        outputs: those that are written, in order.
    """

    def __init__(self, outputs: Sequence[ValueInfo]) -> None:
        self._outputs = outputs
        self._keys = [b"," + orjson.dumps(name) + b":" for name in output_names(outputs)]

    def head(self, *, files: bool = False) -> bytes:
        """What comes before the first row; ``files``: whether records are files, whose names are written."""
        del files
        return b""

    def texts(self, place: int, values: Any) -> list[bytes]:
        """Return what a line has of an output, for each row; see ``json_texts``."""
        return json_texts(values, self._outputs[place])

    def rows(self, numbers: Array, texts: Sequence[Sequence[bytes]], files: Sequence[str] | None = None) -> bytes:
        """Return the lines of rows: their numbers, their files, and ``texts`` of each output."""
        columns = self._begin(numbers, files)
        for key, column in zip(self._keys, texts, strict=True):
            columns += [key, column]
        return _interleave([*columns, b"}\n"], len(numbers))

    def merged(self, numbers: Array, documents: Sequence[bytes], files: Sequence[str] | None = None) -> bytes:
        """Return the lines of rows that ``postprocess`` made: objects are merged into the row."""
        fields = list(map(_as_fields, documents))
        return _interleave([*self._begin(numbers, files), fields, b"}\n"], len(numbers))

    def _begin(self, numbers: Array, files: Sequence[str] | None) -> list[Any]:
        named = [] if files is None else [b',"file":', list(map(dump, files))]
        return [b'{"row":', _numbers(numbers), *named]


class CsvWriter:
    """Writes a column a number where the model says how many there are, else one column of JSON.

    Args:
        outputs: those that are written, in order.
        merged: whether rows are what ``postprocess`` made: one column of JSON, ``result``.
    """

    def __init__(self, outputs: Sequence[ValueInfo], *, merged: bool = False) -> None:
        self._outputs = outputs
        self._names: list[str] = []
        self._flat = []
        for info, name in zip(outputs, output_names(outputs), strict=True):
            width = _width(info)
            self._flat.append(width)
            self._names += [name] if width in {None, 1} else [f"{name}.{place}" for place in range(width or 0)]
        if merged:
            self._names = ["result"]

    def head(self, *, files: bool = False) -> bytes:
        """The header; ``files``: whether records are files, whose names are written."""
        names = ["row", *(["file"] if files else []), *self._names]
        return b",".join(_quote(name.encode()) for name in names) + b"\n"

    def texts(self, place: int, values: Any) -> list[bytes]:
        """Return the fields that a line has of an output, for each row; ``values`` as in ``json_texts``."""
        info = self._outputs[place]
        if self._flat[place] is None:
            return [_quote(_text(text)) for text in json_texts(values, info)]
        if isinstance(values, Tensor) and (array := values.numpy()).size:
            return _numeric_texts(array.reshape(len(array), -1), _BARE)
        return list(map(_fields, json_texts(values, info)))

    def rows(self, numbers: Array, texts: Sequence[Sequence[bytes]], files: Sequence[str] | None = None) -> bytes:
        """Return the lines of rows: their numbers, their files, and ``texts`` of each output."""
        columns = self._begin(numbers, files)
        for column in texts:
            columns += [b",", column]
        return _interleave([*columns, b"\n"], len(numbers))

    def merged(self, numbers: Array, documents: Sequence[bytes], files: Sequence[str] | None = None) -> bytes:
        """Return the lines of rows that ``postprocess`` made."""
        return _interleave([*self._begin(numbers, files), b",", list(map(_quote, documents)), b"\n"], len(numbers))

    def _begin(self, numbers: Array, files: Sequence[str] | None) -> list[Any]:
        named = [] if files is None else [b",", [_quote(name.encode("utf-8", "replace")) for name in files]]
        return [_numbers(numbers), *named]


def json_texts(values: Any, info: ValueInfo) -> list[bytes]:
    """Return the JSON text of each row of an output.

    Args:
        values: a Tensor whose first axis counts rows, or a list of a sequence, map, Tensor or None for each.
        info: what the model says of the output.
    """
    if isinstance(values, list):
        entry = info.item if info.kind == "sequence" else info
        single = entry is not None and entry.kind == "map" and entry.value is not None and entry.value.name == "FP32"
        return list(map(_map_text if single else _json_text, values))
    array = values.numpy()
    if array.dtype.kind in "Oc" or 0 in array.shape[1:]:
        return list(map(_json_text, array))
    return _numeric_texts(array)


def _numeric_texts(array: Array, constants: Sequence[bytes] = (_NAN, _MORE, _LESS)) -> list[bytes]:
    """The rows of numbers as JSON; as CSV where ``constants`` are those of CSV: then there are two axes."""
    if not len(array):
        return []
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    between = b"]" * (array.ndim - 1)
    text = orjson.dumps(array, option=_OPTIONS)
    opened, closed = b"[" * (array.ndim - 1), between
    texts = text[array.ndim : -array.ndim].split(between + b"," + opened)
    if opened and constants != _BARE:
        texts = [opened + item + closed for item in texts]
    if array.dtype.kind == "f":
        finite = np.isfinite(array.reshape(len(array), -1)).all(1)
        for place in np.flatnonzero(~finite):
            texts[place] = _with_constants(texts[place], array[place], constants)
    return texts


def _with_constants(text: bytes, values: Array, constants: Sequence[bytes]) -> bytes:
    """Put names where orjson has written null."""
    flat = values.ravel()
    odd = flat[~np.isfinite(flat)]
    nan, more, less = constants
    names = [nan if value != value else more if value > 0 else less for value in odd]  # noqa: PLR0124 - NaN differs
    pieces = text.split(b"null")
    return b"".join(piece + name for piece, name in zip(pieces, [*names, b""], strict=True))


def _map_text(value: Any) -> bytes:
    """A map, or a list of them, whose numbers were float32 in the engine."""
    if not isinstance(value, dict):
        return b"[" + b",".join(map(_map_text, value)) + b"]" if isinstance(value, list) else _json_text(value)
    numbers = _numeric_texts(np.array(list(value.values()), np.float32))
    keys = (dump(str(key)) for key in value)
    return b"{" + b",".join(key + b":" + number for key, number in zip(keys, numbers, strict=True)) + b"}"


def _json_text(value: Any) -> bytes:
    if isinstance(value, list):
        return b"[" + b",".join(map(_json_text, value)) + b"]"
    if isinstance(value, Tensor):
        row = Tensor(value.dtype, (1, *value.shape), value.data)
        return json_texts(row, ValueInfo("", "tensor", value.dtype, row.shape))[0]
    try:
        text = orjson.dumps(value.tolist() if hasattr(value, "tolist") else value, option=_OPTIONS)
        if b"null" not in text:
            return text
    except TypeError:  # bytes that are not text, complex numbers
        pass
    return dump(value)


def _numbers(numbers: Array) -> list[bytes]:
    return orjson.dumps(np.ascontiguousarray(numbers), option=_OPTIONS)[1:-1].split(b",")


def _interleave(columns: Sequence[Any], count: int) -> bytes:
    """Join columns row by row; one that is bytes is the same in every row."""
    if not count:
        return b""
    width = len(columns)
    pieces: list[bytes] = [b""] * (width * count)
    for place, column in enumerate(columns):
        pieces[place::width] = [column] * count if isinstance(column, bytes) else column
    return b"".join(pieces)


def _as_fields(document: bytes) -> bytes:
    """A document as further fields of an object that has some already."""
    if document.startswith(b"{") and not any(b'"%b"' % name.encode() in document for name in _TAKEN):
        return document[:-1].replace(b"{", b"," if len(document) > 2 else b"", 1)
    return b',"result":' + document


def _width(info: ValueInfo) -> int | None:
    """How many numbers a row has of an output; None when the model leaves it open, or has no numbers there."""
    dtype = info.dtype
    if dtype is None or dtype.name == "BYTES" or dtype.name.startswith("COMPLEX") or not has_batch_axis(info):
        return None
    width = 1
    for axis in info.shape[1:]:
        width *= axis if isinstance(axis, int) else 0
    return width or None


def _fields(text: bytes) -> bytes:
    """Numbers in JSON as fields of CSV."""
    return text.translate(None, b'[]"')


def _text(text: bytes) -> bytes:
    """A JSON string as its own text; anything else as it is."""
    return orjson.loads(text).encode() if text.startswith(b'"') else text


def _quote(field: bytes) -> bytes:
    if any(mark in field for mark in _QUOTED):
        return b'"' + field.replace(b'"', b'""') + b'"'
    return field
