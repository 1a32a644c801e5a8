"""A folder as a store: every object a file, every upload a hidden file beside the one that it will become.

Writers are kept apart by locks on the folder and on the upload's file; the system lets go of a lock when its holder
dies, so that a killed process leaves nothing to clear away. An upload is one file that parts are appended to, and a
part's tag is the place where it lies. Mostly the parts fill the file, and it only has to be renamed; what an outdated
writer has appended in between is left out by a copy.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat as modes
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["LocalStore", "open_place"]

_PART_BYTES = 1 << 20  # what a job holds in memory: to append to a file costs the same for any size
_COPY_BYTES = 1 << 20
_LOCK_S = 30
_LOOK_EVERY_S = 0.001


def open_place(path: str) -> tuple[LocalStore, str]:
    """Return the store of the folder that a file lies in, and its key; or of the folder itself, with an empty key."""
    resolved = os.path.realpath(path)
    if path.endswith("/") or os.path.isdir(resolved):
        return LocalStore(resolved), ""
    return LocalStore(os.path.dirname(resolved)), os.path.basename(resolved)


class LocalStore:
    """The files below a folder, which need not exist before the first one is written.

    Keys are paths with ``/``. No key leads out of the folder, neither by ``..`` nor by a symbolic link. Hidden files
    can be read and written; ``list`` passes over them.

    Attributes:
        is_near: that nothing is won by reading ahead: the system does.
    """

    is_near = True

    def __init__(self, folder: str, part_bytes: int = _PART_BYTES) -> None:
        self._folder = os.path.realpath(folder)
        self.part_bytes = part_bytes

    def path(self, key: str) -> str:
        """Return the path of a key's file; raises StoreError when it would lie outside of the folder."""
        names = key.split("/")
        path = os.path.join(self._folder, *names)
        if "\0" in key or not {"", ".", ".."}.isdisjoint(names) or not self._holds(os.path.realpath(path)):
            raise StoreError(f"{key!r} does not lie in the folder; expected a path below it without '..' or links out.")
        return path

    def stat(self, key: str) -> Stat | None:
        """Return what is known of a file, None when there is none."""
        with _told("read", key), suppress(FileNotFoundError, NotADirectoryError):
            found = os.stat(self.path(key))
            return _stat(key, found) if modes.S_ISREG(found.st_mode) else None
        return None

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return the bytes from ``start`` to ``stop``; raises ChangedError when the file is not the same any more."""
        try:
            with open(self.path(key), "rb") as file:
                file.seek(start)
                data = file.read(stop - start)
                now = _version(os.fstat(file.fileno()))
        except (FileNotFoundError, NotADirectoryError):
            raise ChangedError(f"{key} is gone.") from None
        except OSError as problem:
            raise _refusal("read", key, problem) from problem
        if now != version:
            raise ChangedError(f"{key} has been replaced or written to.")
        return data

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the files whose keys begin with ``prefix``, sorted; no hidden ones, and no links out of the folder."""
        if prefix.startswith("/") or ".." in prefix.split("/"):
            raise StoreError(f"{prefix!r} does not lie in the folder; expected a path below it without '..'.")
        folder = prefix.rpartition("/")[0]
        return self._walk(os.path.join(self._folder, folder), folder + "/" if folder else "", prefix)

    def _walk(self, folder: str, name: str, prefix: str) -> Iterator[Stat]:
        with _told("list", name):
            try:
                entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
            except (FileNotFoundError, NotADirectoryError):
                return
        for entry in sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(follow_symlinks=False)):
            key = name + entry.name
            if entry.is_dir(follow_symlinks=False):
                if key.startswith(prefix) or prefix.startswith(key + "/"):
                    yield from self._walk(entry.path, key + "/", prefix)
            elif key.startswith(prefix) and self._holds(os.path.realpath(entry.path)):
                with suppress(FileNotFoundError):  # gone in the meantime, or a link to nothing
                    found = entry.stat()
                    if modes.S_ISREG(found.st_mode):
                        yield _stat(key, found)

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str:
        """Write a whole file and return its version; raises ConflictError when another one is there than expected."""
        path, fresh = self.path(key), self._hidden(key, "put")
        with _told("write", key), _locked_folder(path, key):
            there = os.stat(path) if os.path.lexists(path) else None
            if replaces is not None and replaces != (_version(there) if there else ""):
                raise ConflictError(f"{key} has been written by somebody else in the meantime.")
            with open(fresh, "wb") as file:
                file.write(data)
            # Clocks of file systems tick slowly: two versions within a tick must differ all the same.
            moment = max(time.time_ns(), there.st_mtime_ns + 1 if there else 0)
            os.utime(fresh, ns=(moment, moment))
            version = _version(os.stat(fresh))
            os.replace(fresh, path)
            return version

    def delete(self, key: str) -> None:
        """Remove a file; there need not be one."""
        with _told("delete", key), suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(self.path(key))

    def begin(self, key: str) -> dict[str, Any]:
        """Make an empty hidden file beside the one that it will become; its token names it."""
        token = {"key": key, "upload": os.urandom(8).hex()}
        path = self._upload(token)
        with _told("write", key):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb"):
                return token

    def add(self, token: dict[str, Any], number: int, data: bytes) -> str:  # noqa: ARG002 - its place is its number
        """Append a part and return its tag: where it lies."""
        with _told("write", token["key"]), self._locked_upload(token) as descriptor:
            offset = os.lseek(descriptor, 0, os.SEEK_END)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            return f"{offset}-{len(data)}"

    def finish(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Give the upload its name; raises ConflictError when that is taken, or the upload or a part is no more."""
        key = token["key"]
        path, upload = self.path(key), self._upload(token)
        places = [(int(offset), int(size)) for offset, _, size in (tag.partition("-") for tag in tags)]
        with _told("write", key), self._locked_upload(token) as descriptor, _locked_folder(path, key):
            if os.path.lexists(path):
                raise ConflictError(f"{key} exists already; it is left as it is.")
            there = os.fstat(descriptor).st_size
            if any(offset + size > there for offset, size in places):
                raise ConflictError(f"Of the upload of {key} a part is missing.")
            if not _fill(places, there):
                fresh = self._hidden(key, "put")
                _copy(upload, places, fresh)
                os.replace(fresh, path)
            else:
                os.rename(upload, path)
        self.abandon(token)

    def abandon(self, token: dict[str, Any]) -> None:
        """Remove every upload of the key."""
        folder, start = os.path.split(self._hidden(token["key"], "upload"))
        with _told("delete", token["key"]), suppress(FileNotFoundError):
            for name in os.listdir(folder):
                if name.startswith(start):
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(folder, name))

    def _holds(self, path: str) -> bool:
        return path.startswith(self._folder.rstrip("/") + "/")

    def _hidden(self, key: str, what: str) -> str:
        """The path of a hidden file that belongs to a key; short, however long the key's last name is."""
        folder, name = os.path.split(self.path(key))
        return os.path.join(folder, f".coldpress-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}-{what}")

    def _upload(self, token: dict[str, Any]) -> str:
        return self._hidden(token["key"], f"upload-{token['upload']}")

    @contextmanager
    def _locked_upload(self, token: dict[str, Any]) -> Iterator[int]:
        """An upload's file, held by nobody else, or ConflictError."""
        path = self._upload(token)
        gone = ConflictError(f"The upload of {token['key']} is no more; it was finished or given up.")
        try:
            descriptor = os.open(path, os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            raise gone from None
        try:
            _lock(descriptor, token["key"])
            # Whoever held it before may have given it its name: it is not to be written to any more.
            if not os.path.exists(path) or not os.path.samestat(os.stat(path), os.fstat(descriptor)):
                raise gone
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _locked_folder(path: str, key: str) -> Iterator[None]:
    """Hold the folder that a path lies in, made where it is missing, against other writers."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, key)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, key: str) -> None:
    """Wait for a lock that is held for the time of one write; its holder may have been stopped, as by Ctrl-Z."""
    until = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise StoreError(f"Another process holds {key} for {_LOCK_S} s now; let it go on, or end it.") from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return


@contextmanager
def _told(action: str, key: str) -> Iterator[None]:
    """Say in one sentence which file the system refuses, and why."""
    try:
        yield
    except OSError as problem:
        raise _refusal(action, key, problem) from problem


def _refusal(action: str, key: str, problem: OSError) -> StoreError:
    return StoreError(f"The system does not let {action} {key or 'the folder'}: {problem.strerror}.")


def _version(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def _stat(key: str, found: os.stat_result) -> Stat:
    return Stat(key, found.st_size, _version(found))


def _fill(places: Sequence[tuple[int, int]], size: int) -> bool:
    """Whether the parts lie one behind the other and there is nothing else."""
    end = 0
    for offset, length in places:
        if offset != end:
            return False
        end += length
    return end == size


def _copy(source: str, places: Sequence[tuple[int, int]], target: str) -> None:
    with open(source, "rb") as file, open(target, "wb") as into:
        for offset, size in places:
            file.seek(offset)
            left = size
            while left and (block := file.read(min(left, _COPY_BYTES))):
                into.write(block)
                left -= len(block)
