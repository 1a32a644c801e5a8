"""What the start of a CSV file says about all of it: its delimiter, its header, and so which columns a model takes."""

from __future__ import annotations

import csv
import sys
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import record_axes, solve_axes
from coldpress_runtime.batch.formats import START_BYTES
from coldpress_runtime.batch.lines import Splitter, csv_ends
from coldpress_runtime.errors import BatchError, InputError
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coldpress_runtime.batch.chunks import Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.signature import ValueInfo

__all__ = ["Head", "Taken", "read_head", "split_record", "take_columns"]

_DELIMITERS = b",;\t"


class Head(NamedTuple):
    """The start of a CSV file.

    Attributes:
        delimiter: what stands between fields: a comma, a semicolon or a tab.
        names: the header's; None without a header.
        width: how many fields the first record has; 0 in an empty file.
    """

    delimiter: str = ","
    names: tuple[str, ...] | None = None
    width: int = 0

    def column(self, number: int) -> str:
        """Name a column in a message."""
        return describe(self.names[number]) if self.names else str(number)


class Taken(NamedTuple):
    """What an input takes of a record: which columns, by number, and the shape that their values fill."""

    info: ValueInfo
    columns: tuple[int, ...]
    axes: tuple[int, ...]


def read_head(stream: Stream, columns: Sequence[str] = ()) -> Head:
    """Read the start of a CSV file.

    Args:
        stream: the file, from its beginning; ``START_BYTES`` of it suffice.
        columns: names that a header must have; a record that has them is the header, even with numbers among them.

    Raises:
        InputError: the file begins with no record of CSV, or the header lacks a column.
    """
    splitter = Splitter(stream, Position())
    line, newline, _ = splitter.peek(START_BYTES).lstrip().partition(b"\n")
    if b"\r" in line and not newline:
        raise InputError("Lines end in a carriage return alone, expected newlines; save the file with LF or CRLF.")
    outside = b"".join(line.split(b'"')[0::2])
    delimiter = chr(max(_DELIMITERS, key=outside.count))
    splitter.find_ends = lambda data: csv_ends(data, delimiter)
    first = splitter.take(Sizes(rows=1))
    if first is None:
        return Head()
    if len(first.data) >= START_BYTES:
        raise InputError(
            f"The first record is over {START_BYTES} bytes long; is the file CSV with a header or numbers?"
        )
    try:
        fields = split_record(first.data.lstrip(b"\r\n"), delimiter)
    except csv.Error as error:
        raise InputError(f"The first record is not CSV: {error}; write a header or numbers.") from None
    names = tuple(field.strip() for field in fields)
    missing = [name for name in columns if name not in names]
    if (columns and not missing) or _is_header(names):
        if missing:
            raise InputError(f"The header lacks the column {describe(missing[0])}, which columns names.")
        return Head(delimiter, names, len(names))
    if columns:
        raise InputError(f"The file has no header, and columns names {describe(columns[0])}; write one above the rows.")
    return Head(delimiter, None, len(names))


def split_record(record: bytes, delimiter: str) -> list[str]:
    """Split one record into its fields; raises csv.Error. Bytes that are no UTF-8 become surrogates."""
    csv.field_size_limit(sys.maxsize)  # the process's; records are bounded already
    text = record.decode("utf-8", "surrogateescape")
    return next(csv.reader([text], delimiter=delimiter, strict=True), [])


def _is_header(fields: Sequence[str]) -> bool:
    """Whether no field is a number; words that may be numbers (``inf``, ``nan``) are names beside other names."""
    numbers = [_number(field) for field in fields]
    named = any(field and number is None for field, number in zip(fields, numbers, strict=True))
    return named and not any(number is not None and isfinite(number) for number in numbers)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def take_columns(head: Head, signature: Signature) -> list[Taken]:
    """Return which columns the inputs of a model take.

    Raises:
        InputError: a column is missing or there twice, or the model takes what CSV cannot say.
    """
    for info in signature.inputs.values():
        if info.kind != "tensor" or info.dtype is None:
            raise InputError(f"Input {info.name!r} is a {info.kind}, which no column can hold; use JSON Lines.")
        if info.dtype.numpy.startswith("complex"):
            raise InputError(f"Input {info.name!r} is {info.dtype.name}, which CSV has no numbers for; use .npy files.")
    try:
        only = signature.only
        if only is not None:
            return [_only(head, only, signature.columns)]
        if head.names is None:
            return _by_order(list(signature.inputs.values()))
        return [_by_name(head, info) for info in signature.inputs.values()]
    except InputError:
        raise
    except BatchError as error:
        raise InputError(str(error)) from None


def _only(head: Head, info: ValueInfo, names: Sequence[str]) -> Taken:
    columns = tuple(_place(head, name) for name in names) or tuple(range(head.width))
    if head.names is None:  # the first record may be a bad one
        columns = tuple(range(_size(info) or head.width))
    return Taken(info, columns, solve_axes(info, len(columns)))


def _by_order(infos: list[ValueInfo]) -> list[Taken]:
    taken, first = [], 0
    for info in infos:
        size = _size(info)
        if size is None:
            raise InputError(f"Input {info.name!r} takes any number of columns; write a header that names them.")
        taken.append(Taken(info, tuple(range(first, first + size)), solve_axes(info, size)))
        first += size
    return taken


def _by_name(head: Head, info: ValueInfo) -> Taken:
    assert head.names is not None  # noqa: S101 - callers look first
    columns: list[int] = []
    for pattern in ("{}.{}", "{}[{}]"):
        while not columns or pattern.format(info.name, len(columns)) in head.names:
            if (name := pattern.format(info.name, len(columns))) not in head.names:
                break
            columns.append(_place(head, name))
        if columns:
            break
    columns = columns or [_place(head, info.name)]
    return Taken(info, tuple(columns), solve_axes(info, len(columns)))


def _size(info: ValueInfo) -> int | None:
    """How many values a record has; None when that is open."""
    size = 1
    for axis in record_axes(info):
        if not isinstance(axis, int):
            return None
        size *= axis
    return size


def _place(head: Head, name: str) -> int:
    names = head.names or ()
    if names.count(name) != 1:
        found = "has twice" if name in names else "lacks"
        raise InputError(f"The header {found} the column {describe(name)}, which the model takes; name each once.")
    return names.index(name)
