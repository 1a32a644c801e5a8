"""A file by its path: on a bucket or a network file system that is mounted, or on the function's own disk.

It is read, and not mapped: a page at a time is how a network is slowest.
"""

from __future__ import annotations

import os

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.stream import BrokenOffError

__all__ = ["MountedFile"]

_PIECE_BYTES = 1 << 20


class MountedFile:
    """A file of a known size; raises WeightsError where there is none, or one of another size."""

    def __init__(self, path: str, size: int) -> None:
        self.name = path
        self._first = self._look(size)

    def reader(self) -> _Reader:
        """Return a descriptor of its own."""
        return _Reader(self.name, self._first)

    def _look(self, size: int) -> tuple[int, int]:
        try:
            found = os.stat(self.name)
        except OSError as problem:
            raise WeightsError(
                f"{self.name} cannot be read ({problem.strerror}); look whether the bucket or disk is mounted there."
            ) from None
        if found.st_size != size:
            raise WeightsError(
                f"{self.name} has {found.st_size:,} bytes, expected {size:,}; copy the file from the build there."
            )
        return _version(found)


class _Reader:
    def __init__(self, path: str, version: tuple[int, int]) -> None:
        self._path, self._version = path, version
        self._over = False

    def read(self, start: int, into: memoryview) -> None:
        """Fill ``into`` with the bytes from ``start`` on."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                place = 0
                while place < len(into) and not self._over:
                    count = os.preadv(file.fileno(), [into[place : place + _PIECE_BYTES]], start + place)
                    if not count:
                        raise BrokenOffError("it ends too early")
                    place += count
                now = _version(os.fstat(file.fileno()))
        except OSError as problem:
            raise BrokenOffError(str(problem.strerror)) from None
        if now != self._version:
            raise WeightsError(f"{self._path} changed while it was read; start the function again.")

    def close(self) -> None:
        """Do nothing: each range opens the file anew."""

    def interrupt(self) -> None:
        """End after the piece that is being read."""
        self._over = True


def _version(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
