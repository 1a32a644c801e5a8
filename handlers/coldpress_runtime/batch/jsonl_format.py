"""JSON Lines: a record a line.

A line is an object of values by input name; for a model of one input it may be the value alone, and with ``columns``
it is an object whose fields they name. Values are as in plain JSON: nested lists, strings, ``{"b64": "..."}``.

Records go down one of two roads. The fast one reads lines with orjson and converts all of their numbers in one call;
it declines where anything is unusual (NaN, a fraction for an integer, a field too many). The exact one, which the
function's ``POST /predict`` takes as well, then says of each line what it is or what is wrong with it.
"""

from __future__ import annotations

import gc
from itertools import chain, repeat
from operator import eq, itemgetter
from typing import TYPE_CHECKING

import numpy as np
import orjson

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Reject, Rows
from coldpress_runtime.batch.features import cast, has_batch_axis, join_rows, record_axes, solve_axes, stack
from coldpress_runtime.batch.lines import split_lines
from coldpress_runtime.errors import InputError, RequestError
from coldpress_runtime.http import Request
from coldpress_runtime.json_text import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Position, Sizes, Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.signature import ValueInfo

    Array = np.ndarray[Any, Any]

__all__ = ["JsonLinesFormat"]

_SEGMENTS = (256, 32)  # lines read together: their values stay in a processor's cache; around one that is unusual


class JsonLinesFormat:
    """Reads JSON Lines for one model.

    Args:
        signature: what the model takes.

    Raises:
        BatchError: ``columns`` are too many or too few for the input.
    """

    seeks = False
    head = ""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        if signature.only is not None and signature.columns and not signature.preprocess:
            solve_axes(signature.only, len(signature.columns))
        self._has_fast_road = all(map(has_batch_axis, signature.inputs.values()))

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks of whole lines; raises InputError for one JSON array over many lines, or in one."""
        for chunk in split_lines(stream, start, sizes):
            if not chunk.first:
                self._refuse_array(chunk)
            yield chunk

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk; a line that is no record of this model is a reject."""
        if chunk.reason:
            return Rows(np.empty(0, np.int64), {}, [Reject(chunk.first, chunk.reason, chunk.data[:RAW_BYTES])])
        lines = _lines(chunk)
        signature = self._signature
        if signature.preprocess:
            return signature.preprocessed(range(chunk.first, chunk.first + len(lines)), map(_request, lines))
        return self._read(lines, chunk.first, _SEGMENTS)

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the records of a chunk, each as a chunk of its own."""
        for number, line in enumerate(_lines(chunk), chunk.first):
            yield Chunk(number, 1, line, chunk.end, chunk.reason)

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return a line of a chunk."""
        return _lines(chunk)[row - chunk.first][:RAW_BYTES]

    def _read(self, lines: list[bytes], first: int, sizes: tuple[int, ...]) -> Rows:
        """Read so many lines together as the first of ``sizes`` says; where they must not be, fewer."""
        parts = []
        for place in range(0, len(lines), sizes[0]):
            segment, number = lines[place : place + sizes[0]], first + place
            rows = self._read_fast(segment, number)
            if rows is None:
                rows = self._read(segment, number, sizes[1:]) if sizes[1:] else self._read_exactly(segment, number)
            parts.append(rows)
        return parts[0] if len(parts) == 1 else join_rows(parts, self._signature)

    def _read_exactly(self, lines: list[bytes], first: int) -> Rows:
        good: list[int] = []
        values: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for number, line in enumerate(lines, first):
            try:
                values.append(self._signature.read(parse(line)))
                good.append(number)
            except RequestError as error:
                reason = str(error).replace("The body", "The record", 1)
                rejects.append(Reject(number, reason, line[:RAW_BYTES]))
        return Rows(np.array(good, np.int64), stack(values), rejects)

    def _read_fast(self, lines: list[bytes], first: int) -> Rows | None:
        """All lines at once, or None where the exact road must look at them."""
        if not self._has_fast_road or not lines:
            return None
        collecting = gc.isenabled()
        gc.disable()  # so many lists would set it off again and again, for no garbage
        try:
            columns = self._columns(list(map(orjson.loads, lines)), b"\n".join(lines))
        except (ValueError, KeyError, TypeError, OverflowError):  # of orjson, of a getter, of numpy, our own
            return None
        finally:
            if collecting:
                gc.enable()
        return Rows(np.arange(first, first + len(lines)), columns, [])

    def _columns(self, records: list[Any], text: bytes) -> dict[str, Array | list[Any]]:
        """Values by input name; raises ValueError, KeyError or TypeError to decline."""
        inputs, names, only = self._signature.inputs, self._signature.columns, self._signature.only
        kinds = set(map(type, records))
        if only is not None and dict not in kinds and not names:
            return {only.name: _nested(records, only, texts=b'"' in text)}
        if kinds != {dict}:
            raise ValueError("no objects")
        texts = _count_texts(records, text)
        if only is not None and names:
            return {only.name: _picked(records, names, only, texts=bool(texts))}
        if set(map(len, records)) != {len(inputs)}:
            raise ValueError("an input too many or too few")
        return {
            name: _nested(list(map(itemgetter(name), records)), info, texts=bool(texts))
            for name, info in inputs.items()
        }

    def _refuse_array(self, chunk: Chunk) -> None:
        """Tell a JSON array of records from the record that a bare array is."""
        start = chunk.data[:4096].lstrip()
        if not start.startswith(b"["):
            return
        only = self._signature.only
        inner = start[1:].lstrip()
        deep = b"".join(start[:64].split())
        if (
            start.splitlines()[0].strip() == b"["
            or (inner.startswith(b"{") and (only is None or only.dtype is None or only.dtype.name != "BYTES"))
            or (only is not None and only.shape and deep.startswith(b"[" * (len(record_axes(only)) + 1)))
        ):
            raise InputError(
                "The file is one JSON array, expected JSON Lines: write each record on a line of its own, without "
                "brackets around them and commas between."
            )


def _lines(chunk: Chunk) -> list[bytes]:
    return [line for line in chunk.data.split(b"\n") if line and not line.isspace()]


def _request(line: bytes) -> Request:
    return Request("POST", "/predict", {"content-type": "application/json"}, line)


def _count_texts(records: list[dict[str, Any]], text: bytes) -> int:
    """How many strings there are among the values, by the number of quotes; raises ValueError to decline.

    Each key and each string has two quotes. So if they add up, no key hides behind another one of its name.
    """
    texts = text.count(b'"') // 2 - sum(map(len, records))
    if texts and texts != sum(map(_texts, chain.from_iterable(map(dict.values, records)))):
        raise ValueError("a key twice, or objects within")
    if b"\\" in text:
        raise ValueError("a quote may be escaped")
    return texts


def _texts(value: Any) -> int:
    if type(value) is list:
        return sum(map(_texts, value))
    return int(type(value) is str)  # objects have keys of their own: their quotes are too many


def _picked(records: list[dict[str, Any]], names: tuple[str, ...], info: ValueInfo, *, texts: bool) -> Array:
    """The fields ``names`` of records as an array; raises ValueError or KeyError to decline."""
    shape = (len(records), *solve_axes(info, len(names)))
    order = list(records[0])
    if set(order) == set(names) and all(map(eq, map(list, records), repeat(order))):
        made = _array(
            list(chain.from_iterable(map(dict.values, records))), info, (len(records), len(names)), texts=texts
        )
        return made.take([order.index(name) for name in names], 1).reshape(shape)
    picked = map(itemgetter(*names), records)
    return _array(list(picked) if len(names) == 1 else list(chain.from_iterable(picked)), info, shape, texts=texts)


def _nested(values: list[Any], info: ValueInfo, *, texts: bool) -> Array:
    """Nested lists of one shape as an array; raises ValueError to decline."""
    shape = [len(values)]
    for axis in record_axes(info):
        if set(map(type, values)) != {list}:
            raise ValueError("no list")
        widths = set(map(len, values))
        width = widths.pop()
        if widths or (isinstance(axis, int) and width != axis):
            raise ValueError("ragged, or too long")
        shape.append(width)
        values = list(chain.from_iterable(values))
    return _array(values, info, tuple(shape), texts=texts)


def _array(values: list[Any], info: ValueInfo, shape: tuple[int, ...], *, texts: bool) -> Array:
    """Values as an array of the input's dtype; raises ValueError or TypeError to decline.

    Args:
        values: what orjson made of JSON.
        info: the input.
        shape: what it shall have.
        texts: whether there may be strings among the values.
    """
    dtype, made = info.dtype, None
    if dtype is None or not values:
        pass
    elif dtype.name == "BYTES":
        if set(map(type, values)) == {str}:
            made = np.empty(len(values), object)
            made[:] = values
    elif dtype.numpy.startswith("float"):
        if not texts or set(map(type, values)) <= {int, float}:
            numbers = np.fromiter(values, np.float64, len(values))
            made = None if _has_other_than_numbers(numbers, values) else cast(numbers, info)
    elif set(map(type, values)) == {bool if dtype.name == "BOOL" else int}:
        whole = np.fromiter(values, np.int64, len(values))
        made = whole.astype(dtype.numpy)
        if not dtype.code or (made != whole).any() or ((made < 0) != (whole < 0)).any():
            made = None
    if made is None:
        raise ValueError("nothing for the fast road")
    return made.reshape(shape)


def _has_other_than_numbers(numbers: Array, values: list[Any]) -> bool:
    """Whether null, true or false became a number: JSON has no NaN, so that is null; 0 and 1 are looked at."""
    small = np.flatnonzero((numbers == 0) | (numbers == 1)).tolist()
    return bool(np.isnan(numbers).any()) or bool in set(map(type, map(values.__getitem__, small)))
