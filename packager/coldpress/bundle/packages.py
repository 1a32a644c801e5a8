"""Wheels laid out as pip would install them into a folder, without what depends on the machine that does it.

Purelib and platlib go to the root (PEP 427); scripts, which need an interpreter's path, and headers are left out.
"""

import hashlib
import shutil
import stat
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from coldpress.bundle.archive import safe_name
from coldpress.bundle.wheels import Wheel, sha256_of
from coldpress.cache import cache_dir, kept_folder
from coldpress.errors import BundleError
from coldpress.targets import ENTRIES, TARGETS

__all__ = ["RESERVED", "install", "installed"]

# What a bundle's own parts are called: a package that brings one of these would shadow it.
_FILES = {*ENTRIES, *(target.batch for target in TARGETS.values() if target.batch)}
RESERVED = frozenset(
    {
        *_FILES,
        *(file.removesuffix(".py") for file in _FILES),
        "bom.cdx.json",
        "coldpress.json",
        "coldpress_runtime",
        "hooks",
        "hooks.py",
        "lib",
        "licenses",
        "model",
    }
)
_ROOTS = frozenset({"purelib", "platlib", "data"})  # of NAME.data/: the schemes whose files land in the folder itself


def install(wheels: Iterable[Wheel], folder: Path) -> None:
    """Unpack ``wheels`` into ``folder``.

    Raises:
        BundleError: a wheel is damaged, holds a path that leads out of the folder or a name the bundle needs, or two
            wheels bring different files of the same name.
    """
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel.path) as source:
                for entry in source.infolist():
                    if not entry.is_dir():
                        _place(source, entry, wheel, folder)
        except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            if isinstance(error, OSError) and not isinstance(error, FileExistsError):
                raise  # a full disk is not the wheel's fault
            raise BundleError(
                f"{wheel.filename} cannot be unpacked ({error}): expected a whole wheel; get it again."
            ) from error


def installed(wheels: Sequence[Wheel]) -> Path:
    """Return a folder of the cache with ``wheels`` in it, for processes of this machine; raises as ``install`` does.

    It stays, and with it the bytecode that their first use leaves there.
    """
    content = "\n".join(sorted(f"{wheel.filename} {wheel.sha256}" for wheel in wheels))
    key = hashlib.sha256(content.encode()).hexdigest()
    return kept_folder(cache_dir("packages") / key, lambda folder: install(wheels, folder))


def _place(source: zipfile.ZipFile, entry: zipfile.ZipInfo, wheel: Wheel, folder: Path) -> None:
    inside = _destination(safe_name(entry.filename))
    if inside is None:
        return
    if inside.parts[0] in RESERVED:
        raise BundleError(f"{wheel.filename} brings {inside}, a name that the bundle itself uses; drop that package.")
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise BundleError(
            f"{wheel.filename} holds {inside}, a link or special file: expected plain files; do not use it."
        )
    place = folder / inside
    place.parent.mkdir(parents=True, exist_ok=True)
    twin = place.with_name(place.name + ".other") if place.exists() else place
    with source.open(entry) as data, twin.open("xb") as file:
        shutil.copyfileobj(data, file, 1 << 20)
    if twin != place:
        same = sha256_of(twin) == sha256_of(place)
        twin.unlink()
        if not same:
            raise BundleError(
                f"{wheel.filename} and another package both bring {inside}, and differ; drop one of them."
            )
    place.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def _destination(path: PurePosixPath) -> PurePosixPath | None:
    """Return where a wheel's entry goes inside the folder, or None when it is left out."""
    head, *rest = path.parts
    if not head.endswith(".data"):
        return path
    if len(rest) < 2 or rest[0] not in _ROOTS:
        return None
    return PurePosixPath(*rest[1:])
