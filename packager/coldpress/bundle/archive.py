"""The zip that is uploaded: the same folder gives the same bytes, whatever the clock, the user or the order of files.

The standard library's ``zipfile`` writes what it pleases into version and flag fields, which may change with Python,
and cannot take a stream that is compressed already; the format itself is three small records (PKWARE APPNOTE 6.3,
sections 4.3.7, 4.3.12 and 4.3.16), so they are written here. Reading is ``zipfile``'s, behind checks on every path.
"""

import base64
import errno
import hashlib
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from coldpress.bundle.deflate import BLOCK, deflate
from coldpress.bundle.swap import fresh_file
from coldpress.errors import BundleError

__all__ = ["Archive", "safe_extract", "safe_name", "write_zip"]

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_VERSION = 20  # 2.0: deflate and folders
_UNIX = 3 << 8
_UTF8 = 0x800
_MIDNIGHT, _FIRST_OF_1980 = 0, (1 << 5) | 1  # the earliest moment that the format knows
_UNPACKED_BYTES = 4 << 30  # far above what a function may have; keeps a hostile zip from filling the disk
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_MAX_BYTES, _MAX_FILES = 0xFFFFFFFE, 0xFFFE  # beyond: zip64, and beyond every provider's limit on zips


@dataclass(frozen=True)
class Archive:
    """What was written: sizes in bytes, ``sha256`` in hex, and the same digest in base64 as Lambda's ``CodeSha256``."""

    path: Path
    zip_bytes: int
    unzipped_bytes: int
    files: int
    sha256: str
    code_sha256: str


def write_zip(folder: Path, path: Path) -> Archive:
    """Write every file below ``folder`` into the zip ``path``, sorted by name, and return its sizes and digests.

    Modes are 0644, or 0755 where the owner may execute; times are 1980-01-01. The file is written beside ``path`` and
    takes its place when it is whole.

    Raises:
        BundleError: a link or special file is in the folder, a name cannot be written, or the disk is full.
    """
    entries = _entries(folder)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool, fresh_file(path) as partial:
        try:
            digest = _write(partial, folder, entries, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        size = partial.stat().st_size
    return Archive(
        path,
        size,
        sum(entry.st_size for entry in entries.values()),
        len(entries),
        digest.hex(),
        base64.b64encode(digest).decode(),
    )


def _entries(folder: Path) -> dict[str, os.stat_result]:
    """Return every regular file below ``folder`` with its status, by its name in the zip, sorted."""
    found: dict[str, os.stat_result] = {}
    for base, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if (Path(base) / name).is_symlink())]:
            place = Path(base) / name
            status = place.lstat()
            inside = place.relative_to(folder).as_posix()
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(
                    f"{inside} is a link or a special file: a bundle holds plain files; replace it by one."
                )
            if not _is_unicode(inside):
                raise BundleError(f"{inside!a} is no Unicode name, which a zip needs: rename that file.")
            found[inside] = status
    if len(found) > _MAX_FILES or sum(status.st_size for status in found.values()) > _MAX_BYTES:
        raise BundleError(
            f"{folder} holds more than a zip of a function can ({_MAX_FILES} files, {_MAX_BYTES:,} bytes); "
            "keep the model in a store, or build an image."
        )
    return dict(sorted(found.items()))


def _keeps(name: str) -> bool:
    """Tell whether a file is somebody's release, the same in many bundles, and not the user's own."""
    return not name.startswith("model/")


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # Python's stand-ins for bytes that are not UTF-8
        return False
    return True


def _write(path: Path, folder: Path, entries: dict[str, os.stat_result], pool: Executor) -> bytes:
    """Write local records, the central directory and its end; return the SHA-256 of all that."""
    digest = hashlib.sha256()
    directory: list[bytes] = []
    offset = 0
    # Small files are squeezed side by side ahead of time; a large one at its turn, its own blocks side by side.
    ahead = {
        name: pool.submit(deflate, folder / name, pool, keep=_keeps(name))
        for name, status in entries.items()
        if status.st_size <= BLOCK
    }
    with path.open("wb") as file:

        def put(data: bytes) -> None:
            nonlocal offset
            file.write(data)
            digest.update(data)
            offset += len(data)

        for name, status in entries.items():
            item = ahead.pop(name).result() if name in ahead else deflate(folder / name, pool, keep=_keeps(name))
            raw = name.encode()
            mode = stat.S_IFREG | (0o755 if status.st_mode & stat.S_IXUSR else 0o644)
            common = (
                _UTF8,
                item.method,
                _MIDNIGHT,
                _FIRST_OF_1980,
                item.crc,
                len(item.data),
                item.size,
                len(raw),
                0,
            )
            record = _CENTRAL.pack(b"PK\1\2", _UNIX | _VERSION, _VERSION, *common, 0, 0, 0, mode << 16, offset)
            directory.append(record + raw)
            put(_LOCAL.pack(b"PK\3\4", _VERSION, *common) + raw)
            put(item.data)
        start = offset
        put(b"".join(directory))
        put(_END.pack(b"PK\5\6", 0, 0, len(entries), len(entries), offset - start, start, 0))
    return digest.digest()


def safe_name(name: str) -> PurePosixPath:
    """Return a zip entry's name as a relative path that stays below where it is unpacked.

    Raises:
        BundleError: it is absolute, climbs out with ``..``, names a drive, or holds a NUL or a backslash.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or any(c in name for c in "\\:\0"):
        raise BundleError(f"the archive holds an entry named {name!r}, which leaves its folder; do not use it.")
    return path


def safe_extract(
    archive: Path, folder: Path, *, max_bytes: int = _UNPACKED_BYTES, wanted: Callable[[str], bool] | None = None
) -> tuple[str, ...]:
    """Unpack ``archive`` below ``folder`` and return the names of the files that were, sorted.

    Args:
        archive: a zip.
        folder: where its files go.
        max_bytes: what it may unpack to as a whole.
        wanted: tells by its name whether a file is to be unpacked; None: all are.

    Raises:
        BundleError: it is not a zip, is damaged, is larger than ``max_bytes`` unpacked, or holds a link or a path that
            leads out of ``folder``.
    """
    names: list[str] = []
    try:
        with zipfile.ZipFile(archive) as source:
            entries = [entry for entry in source.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > max_bytes:
                raise BundleError(f"{archive} unpacks to more than {max_bytes:,} bytes; do not use it.")
            for entry in entries:
                if wanted is not None and not wanted(entry.filename):
                    continue
                mode = entry.external_attr >> 16
                if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                    raise BundleError(
                        f"{archive} holds {entry.filename!r}, a link or special file, which leaves its folder; "
                        "do not use it."
                    )
                place = folder / safe_name(entry.filename)
                place.parent.mkdir(parents=True, exist_ok=True)
                with source.open(entry) as data, place.open("xb") as file:
                    shutil.copyfileobj(data, file)
                place.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
                names.append(entry.filename)
    except FileExistsError as error:
        raise BundleError(f"{archive} holds {error.filename} twice, or it was there before; do not use it.") from error
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise BundleError(
                f"there is no room in {folder} for what {archive.name} unpacks to ({error.strerror}): make some, or "
                "choose another place with --out or TMPDIR."
            ) from error
        raise BundleError(
            f"{archive} cannot be unpacked, because it is not a whole zip file ({error}); get it again."
        ) from error
    return tuple(sorted(names))
