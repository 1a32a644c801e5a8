"""Where the fields of CSV records are, found for a whole chunk at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from coldpress_runtime.batch.lines import blank_records, find_quotes

if TYPE_CHECKING:
    from typing import Any

    Array = np.ndarray[Any, Any]

__all__ = ["Fields", "find_fields"]

_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


class Fields(NamedTuple):
    """The fields of a chunk.

    Attributes:
        places: which of the chunk's records have the expected number of fields, ``(k,)`` int64, ascending.
        begins: where these records begin, ``(k,)`` int64.
        finishes: where they end, their newlines apart.
        starts: where their fields begin, without quotes, ``(k, width)`` int64.
        ends: where they end.
        others: of each other record: which it is, how many fields it has, where it begins and ends.
    """

    places: Array
    begins: Array
    finishes: Array
    starts: Array
    ends: Array
    others: list[tuple[int, int, int, int]]


def find_fields(data: bytes, delimiter: str, width: int) -> Fields | None:
    """Find the fields of whole records.

    Args:
        data: the records.
        delimiter: what stands between fields.
        width: how many fields a record is expected to have.

    Returns:
        None where quotes stand in the middle of fields or carriage returns alone: there it takes a CSV reader.
    """
    has_returns, has_quotes = b"\r" in data, b'"' in data
    if has_returns and data.count(b"\r") != data.count(b"\r\n"):
        return None
    text = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    newline = text == _NEWLINE
    mark = text == ord(delimiter)
    mark |= newline
    if has_quotes:
        quotes = find_quotes(text, delimiter)
        if quotes is None or len(quotes) % 2:
            return None
        outside = ~np.bitwise_xor.accumulate(text == _QUOTE)
        newline &= outside
        mark &= outside
    ends: Array = np.flatnonzero(mark)
    starts: Array = np.empty_like(ends)
    starts[0] = 0
    np.add(ends[:-1], 1, out=starts[1:])
    lines = int(np.count_nonzero(newline))
    others: list[tuple[int, int, int, int]] = []
    regular = len(ends) == lines * width and newline.take(ends[width - 1 :: width]).all()
    # With several columns, blank lines would shift the newlines; unless blanks are what stands between the columns.
    if regular and (width == 1 or delimiter.isspace()):
        regular = not blank_records(data, starts[::width], ends[width - 1 :: width])
    if regular:
        places: Array = np.arange(lines)
    else:
        places, keep, others = _sort_out(data, newline.take(ends), starts, ends, width)
        starts, ends = starts[keep], ends[keep]
    starts, ends = starts.reshape(-1, width), ends.reshape(-1, width)
    if has_returns:
        ends[:, -1] -= text.take(ends[:, -1] - 1, mode="clip") == _RETURN
    begins, finishes = starts[:, 0].copy(), ends[:, -1].copy()
    if has_quotes:
        wrapped = text.take(starts) == _QUOTE
        starts += wrapped
        ends -= wrapped
    return Fields(places, begins, finishes, starts, ends, others)


def _sort_out(
    data: bytes, newline: Array, starts: Array, ends: Array, width: int
) -> tuple[Array, Array, list[tuple[int, int, int, int]]]:
    """Tell records of the expected number of fields from others, and blank lines from both.

    Returns:
        Which records are good, which fields are theirs, and the others.
    """
    stops = np.flatnonzero(newline)
    counts = np.diff(stops, prepend=-1)
    begins, finishes = starts[stops - counts + 1], ends[stops]
    good = counts == width
    blank = np.zeros(len(counts), bool)
    blank[blank_records(data, begins, finishes)] = True
    good &= ~blank
    number = np.cumsum(~blank) - 1
    others = [
        (int(number[line]), int(counts[line]), int(begins[line]), int(finishes[line]))
        for line in np.flatnonzero(~good & ~blank).tolist()
    ]
    return number[good], np.repeat(good, counts), others
