"""Reading with libraries: reads that are whole, which streams' need not be, and one error for all kinds of damage."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coldpress_runtime.errors import ColdpressError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Stream

__all__ = ["buffered", "read_fully", "refusing_damage"]


@contextmanager
def refusing_damage(what: str) -> Iterator[None]:
    """Make InputError of whatever a library raises over bytes that are not what it expects.

    On damaged files those are errors of every kind. What the store says of itself stays what it is.

    Args:
        what: what is found, as the beginning of a sentence.
    """
    try:
        yield
    except (ColdpressError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = " ".join(f"{error}".split())[:200] or type(error).__name__
        raise InputError(f"{what}: {why.rstrip('.')}.") from None


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
