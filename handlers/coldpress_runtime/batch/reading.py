"""Reads that are whole: streams may return less than was asked for, and libraries take that for the end."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Stream

__all__ = ["buffered", "read_fully"]


@contextmanager
def buffered(file: Any) -> Iterator[Any]:
    """Yield a file of which each read is whole; ``file`` stays open."""
    if not isinstance(file, io.RawIOBase):
        yield file
        return
    whole = io.BufferedReader(file)
    try:
        yield whole
    finally:
        whole.detach()


def read_fully(stream: Stream, size: int) -> bytes:
    """Read so many bytes, fewer only at the end."""
    parts, found = [], 0
    while found < size and (part := stream.read(size - found)):
        parts.append(part)
        found += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
