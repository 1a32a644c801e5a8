"""A large file of lines, cut into ranges of whole records that are scored apart, each row with its number in the file.

Where a range begins shows in the bytes around it; which number its first row has shows when all rows before it are
counted. So slices of the file are surveyed at the same time, each by itself, and then joined. That holds as long as a
record is a line. Where a CSV file has quotes, within which a line may end and the record go on, it is walked through
from the start instead.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.blocks import Blocks
from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.compression import is_compressed
from coldpress_runtime.batch.csv_head import read_head
from coldpress_runtime.batch.formats import kind_of
from coldpress_runtime.batch.lines import Splitter, csv_ends, line_ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from coldpress_runtime.batch.options import Options
    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["RANGE_BYTES", "Lines", "Range", "Survey", "join", "lines_of", "range_bytes", "slices", "survey", "walk"]

RANGE_BYTES = 32 << 20
_LEAST_BYTES = 8 << 20
_FEW, _MANY = 64, 4096  # ranges: as many before they grow to RANGE_BYTES, and at most
_START_BYTES = 64 << 10
_LOOK_BYTES = 64 << 10
_SIZES = Sizes(4 << 20, 1 << 62)


class Range(NamedTuple):
    """Consecutive records: where they begin, and where the next range does."""

    start: Position
    stop: Position


class Lines(NamedTuple):
    """What the start of a file says about its records.

    Attributes:
        delimiter: of CSV; empty for JSON Lines.
        header: whether the first record is one.
    """

    delimiter: str
    header: bool

    def splitter(self, source: Blocks, start: int) -> Splitter:
        """Return what finds the records, quotes or not, from an offset at which one begins."""
        delimiter = self.delimiter
        find_ends = (lambda data: csv_ends(data, delimiter)) if delimiter else line_ends
        return Splitter(source, Position(start), find_ends)


class Survey(NamedTuple):
    """What lies in a slice.

    Attributes:
        start: where the first line begins that begins in it.
        stop: where the first line begins that begins behind it.
        records: how many there are from start to stop, a header among them.
        plain: whether each of its lines is a record whatever lies around them.
    """

    start: int
    stop: int
    records: int
    plain: bool


def lines_of(store: Store, stat: Stat, options: Options) -> Lines | None:
    """Say how a file falls into lines; None when it is no plain file of lines.

    Raises:
        InputError: it begins with what cannot be read.
    """
    start = store.read(stat.key, 0, min(_START_BYTES, stat.size), stat.version)
    if is_compressed(start):
        return None
    kind = options.input_format or kind_of(stat.key, start)
    if kind == "jsonl":
        return Lines("", header=False)
    if kind != "csv":
        return None
    head = read_head(BytesIO(start), options.columns)
    return Lines(head.delimiter, head.names is not None)


def range_bytes(size: int) -> int:
    """Return how large the ranges of a file are; of a small one, as large as all of it."""
    if size < 2 * _LEAST_BYTES:
        return size
    return max(_LEAST_BYTES, min(size // _FEW, RANGE_BYTES))


def slices(size: int, begin: int = 0, step: int = RANGE_BYTES) -> list[tuple[int, int]]:
    """Cut a file into spans of ``step`` bytes, the same ones wherever the first of them begins."""
    step = max(step, -(-size // _MANY))
    places = [begin, *range((begin // step + 1) * step, size, step), size]
    return list(pairwise(places))


def survey(store: Store, stat: Stat, lines: Lines, span: tuple[int, int], begin: int) -> Survey:
    """Find and count the records of a slice.

    Args:
        store: where the file lies.
        stat: the file.
        lines: what its records are.
        span: the slice.
        begin: the start of the first slice, where a record is known to begin.

    Raises:
        InputError: the file is of no kind that is read.
        ChangedError: it has been replaced.
    """
    start, stop = (place if place == begin else _next_line(store, stat, place) for place in span)
    records, plain = 0, True
    with Blocks(store, stat._replace(size=stop), start) as source:
        splitter = Splitter(source, Position(start))
        while (chunk := splitter.take(_SIZES)) is not None:
            records += chunk.records
            plain = plain and not (lines.delimiter and (b'"' in chunk.data or chunk.reason))
    return Survey(start, stop, records, plain)


def join(surveys: Iterable[Survey], lines: Lines, begin: Position) -> list[Range] | None:
    """Return the ranges of a file whose slices are surveyed in order; None when it must be walked through."""
    ranges, row = [], begin.row
    for found in surveys:
        if not found.plain:
            return None
        first = row
        row += found.records - (lines.header and not found.start)
        if row > first:
            ranges.append(Range(Position(found.start, first), Position(found.stop, row)))
    return ranges


def walk(store: Store, stat: Stat, lines: Lines, spans: Sequence[tuple[int, int]], begin: Position) -> Iterator[Range]:
    """Yield the ranges of a file that is read through, from ``begin`` on; each ends where its slice does, or later."""
    bounds = (bound for _, bound in spans)
    with Blocks(store, stat, begin.offset) as source:
        splitter = lines.splitter(source, begin.offset)
        if lines.header and not begin.offset:
            splitter.take(Sizes(rows=1))
        splitter.position = splitter.position._replace(row=begin.row)
        start, bound = begin, next(bounds)
        while (chunk := splitter.take(_SIZES)) is not None:
            if chunk.end.offset >= bound:
                yield Range(start, chunk.end)
                start = chunk.end
                while bound <= start.offset < stat.size:
                    bound = next(bounds)
        if splitter.position.row > start.row:
            yield Range(start, splitter.position)


def _next_line(store: Store, stat: Stat, place: int) -> int:
    """Where the first line begins that does not begin before a place."""
    if not place:
        return 0
    at, size = place - 1, _LOOK_BYTES
    while at < stat.size:
        block = store.read(stat.key, at, min(at + size, stat.size), stat.version)
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
        size = min(2 * size, RANGE_BYTES)
    return stat.size
