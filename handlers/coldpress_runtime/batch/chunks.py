"""What passes between the parts of a job: chunks of records as they lie in the input, and the rows made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np

__all__ = ["RAW_BYTES", "Chunk", "Format", "Position", "Reject", "Rows", "Sizes", "Stream"]

RAW_BYTES = 64 << 10
"""How much of a rejected record is kept."""


class Position(NamedTuple):
    """A place between two records: bytes into the decompressed input, and the number of the record that follows.

    Formats that seek count records alone.
    """

    offset: int = 0
    row: int = 0


@dataclass
class Sizes:
    """How large a chunk may become: bytes and records; and the longest record that is held in memory at all.

    A job adapts them to its speed while a format yields chunks: they are to be looked at anew for each. Of fast models
    chunks have so many bytes that little more is held of a large input than of a small one.
    """

    bytes: int = 1 << 18
    rows: int = 1 << 16
    record_bytes: int = 16 << 20


class Chunk(NamedTuple):
    """Consecutive records as they lie in the input.

    Attributes:
        first: number of the first record, from 0; headers and blank lines are no records.
        records: how many there are.
        data: their bytes, each record whole: as they lie in the input, or, from formats that have to pack them anew,
            never as many as the input has between the end of the chunk before and ``end``.
        end: where the next chunk begins.
        reason: why its only record is not read: it is longer than ``Sizes.record_bytes``, and ``data`` is its start.
    """

    first: int
    records: int
    data: bytes
    end: Position
    reason: str = ""


class Reject(NamedTuple):
    """A record that is not scored: its number, why, and its bytes (at most ``RAW_BYTES`` of them)."""

    row: int
    reason: str
    raw: bytes


class Rows(NamedTuple):
    """What the records of a chunk came to; each is in ``numbers`` or in ``rejects``.

    Attributes:
        numbers: those of the good records, ascending, ``(k,)`` int64.
        columns: by input name, arrays ``(k, ...)`` of the input's dtype, object arrays of ``str`` for BYTES; where the
            records differ in shape, or are no tensors, a list of ``k`` values as the engine takes them one by one.
        rejects: the others, ascending.
        files: names of the good records where records are files, which are written with their rows.
    """

    numbers: np.ndarray[Any, Any]
    columns: dict[str, np.ndarray[Any, Any] | list[Any]]
    rejects: list[Reject]
    files: list[str] | None = None


class Stream(Protocol):
    """Bytes that are read forward; ``compression.py`` makes one of an object's blocks."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none at the end; raises InputError when the input is damaged there."""
        ...


class Format(Protocol):
    """A kind of file: how it falls into records, and what a record says.

    Attributes:
        seeks: whether ``chunks`` needs a whole file at hand (``read``, ``seek``, ``tell``) and not a stream.
    """

    seeks: bool

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks from ``start`` on, in bounded memory; ``stream`` stands at ``start.offset``."""
        ...

    def rows(self, chunk: Chunk) -> Rows:
        """Return the rows of a chunk. Bad data raises nothing: the record is a reject."""
        ...

    def singles(self, chunk: Chunk) -> Iterator[Chunk]:
        """Yield the records of a chunk, each as a chunk of its own with the same end."""
        ...

    def record(self, chunk: Chunk, row: int) -> bytes:
        """Return record ``row`` of a chunk for the rejects file, at most ``RAW_BYTES`` of it."""
        ...
