"""The records of a chunk of which processes die, each read and scored by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.batch.chunks import Reject, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coldpress_runtime.batch.chunks import Chunk, Format, Position, Sizes, Stream

__all__ = ["Alone"]


class Alone:
    """A format of which every record is a chunk.

    Args:
        form: what the records look like.
        chunk: what they are the records of.
        row: the number of the first one that matters.
        lost: why that one is not to be touched again; empty: it is.
        rest: whether those after it are not either.
    """

    seeks = False

    def __init__(self, form: Format, chunk: Chunk, row: int, lost: str = "", *, rest: bool = False) -> None:
        self._form = form
        self._chunk = chunk
        self._row = row
        self._lost = lost
        self._rest = rest

    def each(self) -> Iterator[Chunk]:
        """Yield the records."""
        chunk = self._chunk
        if self._rest:
            for number in range(self._row, chunk.first + chunk.records):
                yield chunk._replace(first=number, records=1)
            return
        for one in self._form.singles(chunk):
            if one.first >= self._row:
                yield one

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield what the format itself finds in ``stream``."""
        return self._form.chunks(stream, start, sizes)

    def rows(self, chunk: Chunk) -> Rows:
        """Return the row of a record, or its reject."""
        number = chunk.first
        if self._lost and (self._rest or number == self._row):
            return Rows(np.array([], np.int64), {}, [Reject(number, self._lost, self.record(chunk, number))])
        return self._form.rows(chunk)

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield a chunk of one record as it is."""
        yield chunk

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return the bytes of a record."""
        return self._form.record(self._chunk if self._rest else chunk, row)
