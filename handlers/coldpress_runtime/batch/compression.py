"""Compressed inputs: gzip and zstd, told by their first bytes, read forward in bounded memory.

A few kilobytes may say that gigabytes of zeros follow. They are never held, only passed; but whoever pays by the second
need not pass all of them. So a stream that has grown beyond ``GROWTH_BYTES`` and beyond ``GROWTH_RATIO`` times what was
read of it is refused. Gzip packs zeros 1,029 times and rows of numbers 2 to 20 times; the same row over and over comes
to some hundred times.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from coldpress_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Stream

__all__ = ["GROWTH_BYTES", "GROWTH_RATIO", "decompress", "is_compressed"]

GROWTH_BYTES = 1 << 30
GROWTH_RATIO = 1000

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_IN_BYTES = 64 << 10
_OUT_BYTES = 1 << 20
_ZSTD_IN_BYTES = 1 << 10  # 4 bytes of zstd may say 128 KiB, and the package has no limit: so this is 32 MiB at most
_ZSTD_WINDOW_BYTES = 128 << 20  # as the zstd command has it


def is_compressed(start: bytes) -> bool:
    """Whether an input, of which these are the first bytes (4 suffice), is compressed."""
    return start.startswith((_GZIP, _ZSTD))


def decompress(raw: Stream, offset: int = 0) -> Stream:
    """Return what an input says once it is decompressed.

    Args:
        raw: the input, from its first byte; gzip, zstd, or neither, which is returned as it is.
        offset: so many decompressed bytes are passed.

    Raises:
        InputError: zstd, and nothing is installed that reads it. What is read raises it where the data is damaged,
            cut short or a bomb, after all that lies before.
    """
    counted = _Counted(raw)
    start = counted.start(len(_ZSTD))
    if start.startswith(_GZIP):
        pieces = _gunzip(counted)
    elif start.startswith(_ZSTD):
        pieces = _unzstd(counted, _zstd_frame())
    else:
        pieces = iter(lambda: counted.read(_OUT_BYTES), b"")
    stream = _Decompressed(pieces, counted)
    while offset and (passed := stream.read(min(offset, _OUT_BYTES))):
        offset -= len(passed)
    return stream


class _Counted:
    """A stream that counts what is read of it, and shows its first bytes."""

    def __init__(self, raw: Stream) -> None:
        self.count = 0
        self._raw = raw
        self._held = b""

    def start(self, size: int) -> bytes:
        while len(self._held) < size and (more := self._raw.read(size - len(self._held))):
            self._held += more
        return self._held

    def read(self, size: int) -> bytes:
        block, self._held = self._held, b""
        block = block or self._raw.read(size)
        self.count += len(block)
        return block


class _Decompressed:
    """A stream of pieces of any size."""

    def __init__(self, pieces: Iterator[bytes], raw: _Counted) -> None:
        self._pieces = pieces
        self._raw = raw
        self._piece = memoryview(b"")
        self._count = 0

    def read(self, size: int, /) -> bytes:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._count += len(piece)
            if self._count > GROWTH_BYTES and self._count > GROWTH_RATIO * self._raw.count:
                raise InputError(
                    f"The input is over {GROWTH_RATIO} times larger once decompressed, and over {GROWTH_BYTES >> 30} "
                    "GiB; upload it in smaller parts, or not compressed, if it is meant."
                )
            self._piece = memoryview(piece)
        part, self._piece = self._piece[:size], self._piece[size:]
        return bytes(part)


def _gunzip(raw: _Counted) -> Iterator[bytes]:
    data = raw.read(_IN_BYTES)
    while data:
        member = zlib.decompressobj(31)  # with gzip's header and checksum
        while not member.eof:
            data = data or raw.read(_IN_BYTES)
            if not data:
                raise _cut_short("gzip")
            before = member.copy()
            try:
                piece = member.decompress(data, _OUT_BYTES)
            except zlib.error:
                yield from _until_damage(before, data)
                raise _damaged("gzip") from None
            yield piece
            data = member.unused_data if member.eof else member.unconsumed_tail
        data = data.lstrip(b"\0")  # tapes and some tools fill blocks up
        while not data and (block := raw.read(_IN_BYTES)):
            data = block.lstrip(b"\0")


def _until_damage(member: Any, data: bytes) -> Iterator[bytes]:
    """What data gives up to the byte at which it is damaged."""
    try:
        for place in range(len(data)):
            yield member.decompress(data[place : place + 1])
    except zlib.error:
        return


def _unzstd(raw: _Counted, new_frame: tuple[Any, type[Exception]]) -> Iterator[bytes]:
    make, error = new_frame
    data = raw.read(_IN_BYTES)
    while data:
        frame = make()
        while not frame.eof:
            data = data or raw.read(_IN_BYTES)
            if not data:
                raise _cut_short("zstd")
            part, data = data[:_ZSTD_IN_BYTES], data[_ZSTD_IN_BYTES:]
            try:
                piece = frame.decompress(part)
            except error:
                raise _damaged("zstd") from None
            yield piece
        data = frame.unused_data + data
        data = data or raw.read(_IN_BYTES)


def _zstd_frame() -> tuple[Any, type[Exception]]:
    """What makes a decompressor of one frame, and what that raises."""
    try:
        import zstandard  # noqa: PLC0415  (only where an input needs it)
    except ImportError:
        try:
            from compression import zstd  # type: ignore[import-not-found] # noqa: PLC0415  (Python 3.14 and later)
        except ImportError:
            raise InputError("The input is zstd, which nothing here reads; install zstandard, or use gzip.") from None
        return zstd.ZstdDecompressor, zstd.ZstdError
    limited = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    return limited.decompressobj, zstandard.ZstdError


def _cut_short(kind: str) -> InputError:
    return InputError(f"The input's {kind} data is cut short; upload the whole file again.")


def _damaged(kind: str) -> InputError:
    return InputError(f"The input's {kind} data is damaged; upload the file again.")
