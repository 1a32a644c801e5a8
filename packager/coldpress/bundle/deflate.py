"""Compressed streams for the archive: in parallel, and kept for the one large file that never changes."""

import os
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from coldpress.cache import cache_dir

__all__ = ["Deflated", "deflate"]

_LEVEL = 9
_CHUNK = 1 << 20
# Level 9 takes seconds for the 29 MB engine, which is the same file in every bundle; what it compresses to is kept
# from this size on. A user's models are not kept: they change, and they are theirs.
_KEEP_FROM = 8 << 20


@dataclass(frozen=True)
class Deflated:
    """A file as the zip holds it: method 8 (deflate) or 0 (stored), whichever is smaller."""

    method: int
    data: bytes
    crc: int
    size: int


def deflate(path: Path, *, keep: bool = False) -> Deflated:
    """Compress ``path`` with zlib's level 9; ``keep`` reuses the stream of an earlier run, when the bytes are the same.

    The result depends on the bytes and on the zlib in use, and on nothing else.
    """
    content = path.read_bytes()
    crc = zlib.crc32(content)
    data = _kept(content) if keep and len(content) >= _KEEP_FROM else _compress(content)
    if len(data) >= len(content):
        return Deflated(0, content, crc, len(content))
    return Deflated(8, data, crc, len(content))


def _compress(content: bytes) -> bytes:
    press = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
    view = memoryview(content)
    parts = [press.compress(view[start : start + _CHUNK]) for start in range(0, len(content), _CHUNK)]
    return b"".join([*parts, press.flush()])


def _kept(content: bytes) -> bytes:
    """Return the compressed stream from the cache, proven to unpack to ``content``; make and keep it otherwise."""
    import hashlib  # noqa: PLC0415  (needed for a handful of large files alone)

    name = f"{hashlib.sha256(content).hexdigest()}-{zlib.ZLIB_RUNTIME_VERSION}-{_LEVEL}.deflate"
    place = cache_dir("deflate") / name
    try:
        data = place.read_bytes()
        unpack = zlib.decompressobj(-15)
        if unpack.decompress(data) == content and unpack.eof and not unpack.unused_data:
            return data
    except (OSError, zlib.error):
        pass  # not there yet, or damaged: made again below
    data = _compress(content)
    _store(place, data)
    return data


def _store(place: Path, data: bytes) -> None:
    """Put ``data`` into the cache in one step; a cache that cannot be written costs time, not the build."""
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
