"""Compressed streams for the archive: in parallel, and kept for the large files that never change."""

import os
import tempfile
import zlib
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from coldpress.cache import cache_dir

__all__ = ["BLOCK", "Deflated", "deflate"]

_LEVEL = 9
BLOCK = 4 << 20
"""Bytes that one stream is compressed in at a time."""

_WINDOW = 32 << 10
# The 29 MB engine takes 1.5 to 2.5 s on two cores and is the same file in every bundle, as libraries of packages are:
# what they compress to is kept; proving and using that takes 0.1 s. Models are not kept: they change, and are private.
_KEEP_FROM = 1 << 20


@dataclass(frozen=True)
class Deflated:
    """A file as the zip holds it: method 8 (deflate) or 0 (stored), whichever is smaller."""

    method: int
    data: bytes
    crc: int
    size: int


def deflate(path: Path, pool: Executor, *, keep: bool = False) -> Deflated:
    """Compress ``path`` with zlib's level 9; ``keep`` reuses the stream of an earlier run, when the bytes are the same.

    The result depends on the bytes and on the zlib in use, and on nothing else; ``pool`` only shares out the work.
    """
    content = path.read_bytes()
    crc = zlib.crc32(content)
    data = _kept(content, pool) if keep and len(content) >= _KEEP_FROM else _compress(content, pool)
    if len(data) >= len(content):
        return Deflated(0, content, crc, len(content))
    return Deflated(8, data, crc, len(content))


def _compress(content: bytes, pool: Executor) -> bytes:
    """Deflate blocks of a fixed size side by side, each with the 32 KiB before it as its dictionary (as pigz does).

    The blocks are the same on every machine, however many of them are worked on at a time.
    """
    view = memoryview(content)
    starts = range(0, len(content), BLOCK)

    def press(start: int) -> bytes:
        before = bytes(view[max(0, start - _WINDOW) : start])
        stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15, zdict=before)
        data = stream.compress(view[start : start + BLOCK])
        return data + stream.flush(zlib.Z_FINISH if start + BLOCK >= len(content) else zlib.Z_SYNC_FLUSH)

    if len(starts) < 2:
        return press(0)
    return b"".join(pool.map(press, starts))


def _kept(content: bytes, pool: Executor) -> bytes:
    """Return the compressed stream from the cache, proven to unpack to ``content``; make and keep it otherwise."""
    import hashlib  # noqa: PLC0415  (needed for a handful of large files alone)

    name = f"{hashlib.sha256(content).hexdigest()}-{zlib.ZLIB_RUNTIME_VERSION}-{_LEVEL}-{BLOCK}.deflate"
    try:
        place = cache_dir("deflate") / name
    except OSError:
        return _compress(content, pool)  # a cache that cannot be made costs time, not the build
    try:
        data = place.read_bytes()
        unpack = zlib.decompressobj(-15)
        if unpack.decompress(data) == content and unpack.eof and not unpack.unused_data:
            return data
    except (OSError, zlib.error):
        pass  # not there yet, or damaged: made again below
    data = _compress(content, pool)
    _store(place, data)
    return data


def _store(place: Path, data: bytes) -> None:
    """Put ``data`` into the cache in one step, if that can be written."""
    try:
        descriptor, partial = tempfile.mkstemp(dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(partial).replace(place)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
    except OSError:
        return
