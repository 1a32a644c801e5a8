"""A stream of text, cut into chunks of whole records: by line, or by line outside quotes.

Memory is bounded: by the size of a chunk, and by the longest record that is looked at as a whole. A longer one is a
chunk of its own, cut short, with the reason why it is not read.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.batch.chunks import RAW_BYTES, Chunk, Position
from coldpress_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Sizes, Stream

    Array = np.ndarray[Any, Any]

__all__ = ["BOM", "Splitter", "blank_records", "csv_ends", "find_quotes", "line_ends", "split_lines"]

BOM = b"\xef\xbb\xbf"
_NEWLINE, _RETURN, _QUOTE, _SPACE = b'\n\r" '
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def split_lines(stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
    """Yield chunks of whole lines; blank ones lie in them and do not count.

    Raises:
        InputError: the stream is damaged, after what lies before the damage; or it is UTF-16 text.
    """
    splitter = Splitter(stream, start)
    while (chunk := splitter.take(sizes)) is not None:
        yield chunk


def line_ends(data: bytes) -> Array:
    """Return where the lines of a text end, behind their newlines; ``(n,)`` int64."""
    return np.flatnonzero(np.frombuffer(data, np.uint8) == _NEWLINE) + 1


def csv_ends(data: bytes, delimiter: str) -> Array:
    """Return where the records of a CSV text end, whose fields may hold newlines between quotes; ``(n,)`` int64.

    Quotes count as in Python's csv module: a field that begins with one is quoted, any other quote is a character.
    """
    if b'"' not in data:
        return line_ends(data)
    text = np.frombuffer(data, np.uint8)
    quotes = find_quotes(text, delimiter)
    if quotes is None:
        return _ends_one_by_one(data, delimiter)
    newlines: Array = np.flatnonzero(text == _NEWLINE)
    inside: Array = np.searchsorted(quotes, newlines) & 1
    ends: Array = newlines[inside == 0] + 1
    return ends


def blank_records(data: bytes, starts: Array, ends: Array) -> list[int]:
    """Return which records, given where they start and end, are blank lines: those do not count."""
    first = np.frombuffer(data, np.uint8).take(starts, mode="clip")
    suspects = np.flatnonzero(first <= _SPACE).tolist()
    return [place for place in suspects if not data[starts[place] : ends[place]].strip()]


def find_quotes(text: Array, delimiter: str) -> Array | None:
    """Return where the quotes of a CSV text are, of which every other one opens and the next one closes.

    Args:
        text: the bytes, uint8, from the beginning of a record on.
        delimiter: what stands between fields.

    Returns:
        Their places, ``(n,)`` int64. None where a quote stands in the middle of a field, so that counting does not
        tell one kind from the other.
    """
    quotes: Array = np.flatnonzero(text == _QUOTE)
    # At an end of the text, the quote itself is looked at. Half of an escaped quote stands beside the other half.
    before = text.take(quotes[0::2] - 1, mode="clip")
    after = text.take(quotes[1::2] + 1, mode="clip")
    edges = (ord(delimiter), _NEWLINE, _QUOTE)
    if not (_are_all(before, edges) and _are_all(after, (*edges, _RETURN))):
        return None
    return quotes


def _are_all(marks: Array, known: tuple[int, ...]) -> bool:
    found = marks == known[0]
    for mark in known[1:]:
        found |= marks == mark
    return bool(found.all())


@cache
def _record(delimiter: str) -> re.Pattern[bytes]:
    plain = f"[^{delimiter}\n]"
    field = f'(?>"[^"]*+(?:""[^"]*+)*+(?:"{plain}*+|\\Z)|[^{delimiter}\n"]{plain}*+|)'
    return re.compile(f"{field}(?:{delimiter}{field})*+\n".encode())


def _ends_one_by_one(data: bytes, delimiter: str) -> Array:
    pattern, ends, at = _record(delimiter), [], 0
    while found := pattern.match(data, at):
        at = found.end()
        ends.append(at)
    return np.array(ends, np.int64)


class Splitter:
    """Cuts a stream into chunks.

    Args:
        stream: stands at ``start.offset``.
        start: where to begin, between two records.
        find_ends: tells where the whole records of a text end that begins with one.
    """

    def __init__(self, stream: Stream, start: Position, find_ends: Callable[[bytes], Array] = line_ends) -> None:
        self.find_ends = find_ends
        self.position = start
        self._stream = stream
        self._rest = b""  # read, and not yet given out
        self._ended = False
        self._damage: InputError | None = None

    def peek(self, size: int) -> bytes:
        """Return at most ``size`` of the bytes that come next, and leave them there."""
        self._fill(size)
        return self._rest[:size]

    def take(self, sizes: Sizes) -> Chunk | None:
        """Return the next chunk, None at the end; raises InputError where the stream is damaged."""
        size = max(sizes.bytes, 1)
        while True:
            self._fill(size)
            data = self._rest[:size]
            whole = self._ended and len(data) == len(self._rest)
            ends = self.find_ends(data)
            if whole and self._damage is None:
                ends = self._with_last(data, ends)
            if len(ends):
                chunk = self._cut(data, ends, sizes.rows)
                if chunk is not None:
                    return chunk
            elif whole:
                if self._damage is not None:
                    raise self._damage
                return None
            elif size >= sizes.record_bytes:
                end = data.find(b"\n") + 1  # of a quote that is never closed, the line is lost and no more
                chunk = self._cut(data, np.array([end]), 1) if end else self._skip(sizes)
                if chunk is not None:
                    return chunk
            else:
                size = min(2 * size, sizes.record_bytes)

    def _fill(self, size: int) -> None:
        """Read until there are ``size`` bytes, or no more."""
        parts, found = [self._rest], len(self._rest)
        size = max(size, len(BOM))
        while found < size and not self._ended:
            block = self._read(size - found)
            parts.append(block)
            found += len(block)
        if len(parts) > 1:
            self._rest = b"".join(parts)
            if not self.position.offset:
                self._look_at_mark()

    def _look_at_mark(self) -> None:
        if self._rest.startswith(BOM):
            self._rest = self._rest[len(BOM) :]
            self.position = self.position._replace(offset=len(BOM))
        elif self._rest.startswith(_UTF_16):
            raise InputError("The input is UTF-16 text, expected UTF-8; save it as UTF-8.")

    def _read(self, size: int) -> bytes:
        block = b""
        try:
            block = self._stream.read(size)
        except InputError as error:
            self._damage = error
        self._ended = not block
        return block

    def _cut(self, data: bytes, ends: Array, most: int) -> Chunk | None:
        """Give out at most ``most`` records; None when there are only blank lines, which are passed."""
        blank = blank_records(data, np.concatenate(([0], ends[:-1])), ends)
        records = len(ends) - len(blank)
        if records > most:
            records = most
            ends = ends[: np.delete(np.arange(len(ends)), blank)[most - 1] + 1]
        end = int(ends[-1])
        first, self._rest = self.position.row, self._rest[end:]
        self.position = Position(self.position.offset + end, first + records)
        return Chunk(first, records, data[:end], self.position) if records else None

    def _skip(self, sizes: Sizes) -> Chunk:
        """Pass over a record that is too long to be looked at."""
        raw, length = self._rest[:RAW_BYTES], 0
        while (end := self._rest.find(b"\n") + 1) == 0 and not self._ended:
            length += len(self._rest)
            self._rest = self._read(sizes.bytes)
        if not end and self._damage is not None:
            raise self._damage
        end = end or len(self._rest)
        length += end
        self._rest = self._rest[end:]
        first = self.position.row
        self.position = Position(self.position.offset + length, first + 1)
        reason = f"The record is over {sizes.record_bytes} bytes long, which is more than is read as one."
        return Chunk(first, 1, raw, self.position, reason)

    def _with_last(self, data: bytes, ends: Array) -> Array:
        """The ends of records with that of the last one, which may lack its newline.

        When a quote of it is never closed, it is its first line, and the lines after it are looked at anew.
        """
        last = int(ends[-1]) if len(ends) else 0
        tail = data[last:]
        if not tail:
            return ends
        if len(self.find_ends(tail + b"\n")):
            return np.append(ends, len(data))
        return ends if len(ends) else np.array([data.find(b"\n") + 1 or len(data)])
