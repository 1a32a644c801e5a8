"""A folder of files as one object: a tar archive that is never made, and read as if it were there.

So a folder of images is one job with one file of scores, and goes on after a stop like any other.
"""

from __future__ import annotations

import hashlib
import tarfile
from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple, cast

from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.errors import ChangedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coldpress_runtime.batch.stores import Store

__all__ = ["folder_as_archive"]

_BLOCK = 512
_END = bytes(2 * _BLOCK)  # of an archive


class _Member(NamedTuple):
    stat: Stat
    name: str

    @property
    def header(self) -> bytes:
        """What stands before the file; the same each time."""
        info = tarfile.TarInfo(self.name)
        info.size = self.stat.size
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    @property
    def size(self) -> int:
        """How many bytes it takes in the archive, which is made of whole blocks."""
        return len(self.header) + -(-self.stat.size // _BLOCK) * _BLOCK


def folder_as_archive(store: Store, files: Sequence[Stat], prefix: str, key: str) -> tuple[Store, Stat]:
    """Return a store, which can only be read, and the archive that is all there is in it.

    Args:
        store: where the files lie.
        files: what they are there, in the order of the archive.
        prefix: what their names in the archive lack.
        key: the archive's.
    """
    folder = _FolderStore(store, files, prefix, key)
    return cast("Store", folder), folder.archive


class _FolderStore:
    def __init__(self, store: Store, files: Sequence[Stat], prefix: str, key: str) -> None:
        self._store = store
        self._members = [_Member(stat, stat.key.removeprefix(prefix)) for stat in files]
        self._starts = [0, *accumulate(member.size for member in self._members)]
        versions = "\n".join(f"{stat.key!r} {stat.size} {stat.version}" for stat in files)
        version = hashlib.sha256(versions.encode()).hexdigest()
        self.archive = Stat(key, self._starts[-1] + len(_END), version, "application/x-tar")

    def stat(self, key: str) -> Stat | None:
        """Return what is known of the archive; its version tells of every file's."""
        return self.archive if key == self.archive.key else None

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return bytes of the archive; raises ChangedError when a file is gone, or another one."""
        if (key, version) != (self.archive.key, self.archive.version):
            raise ChangedError(f"{key} is gone.")
        stop = min(stop, self.archive.size)
        parts, at = [], start
        while at < stop:
            part = self._part(at, stop)
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the archive."""
        if self.archive.key.startswith(prefix):
            yield self.archive

    def _part(self, at: int, stop: int) -> bytes:
        """The bytes from ``at`` on, at most to the end of the header, the file or the gap that they lie in."""
        number = bisect_right(self._starts, at) - 1
        if number == len(self._members):
            return _END[at - self._starts[-1] : stop - self._starts[-1]]
        member, at, stop = self._members[number], at - self._starts[number], stop - self._starts[number]
        header = member.header
        if at < len(header):
            return header[at:stop]
        at, stop = at - len(header), stop - len(header)
        size = member.stat.size
        if at >= size:
            return bytes(min(stop, -(-size // _BLOCK) * _BLOCK) - at)
        data = self._store.read(member.stat.key, at, min(stop, size), member.stat.version)
        if not data:
            raise ChangedError(f"{member.stat.key} is shorter than it was.")
        return data
