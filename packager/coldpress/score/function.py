"""A built function made ready for worker processes: its model, its hooks and their packages, without its provider."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coldpress._resources import runtime_root
from coldpress.bundle.batch import batch_wheels
from coldpress.bundle.packages import installed
from coldpress.bundle.wheels import sha256_of
from coldpress.cache import cache_dir
from coldpress.emulate.clients import python_minor
from coldpress.emulate.function import target_of
from coldpress.emulate.process import choose_interpreter, locate, unpack, unpacked
from coldpress.emulate.requests import manifest_of
from coldpress.errors import EmulateError
from coldpress.machine import own_architecture, own_library, runs_here
from coldpress_runtime.manifest import Engine, Manifest

__all__ = ["BatchFunction", "prepared"]

_OURS = ("httptools", "numpy", "orjson", "pyarrow", "zstandard")
"""Packages of a bundle that no hook needs from it: a server's, and what workers bring for themselves."""
_ENGINE = "lib"
"""The folder of a bundle's engine, which is unpacked by itself where it is needed at all."""
_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class BatchFunction:
    """A function as workers open it.

    Attributes:
        root: its folder.
        target: what it was built for.
        manifest: what it is.
        command: what starts a process with its interpreter; words for the module to run come after it.
        environment: that process's variables.
    """

    root: Path
    target: str
    manifest: Manifest
    command: tuple[str, ...]
    environment: Mapping[str, str]


@contextlib.contextmanager
def prepared(build: Path) -> Iterator[BatchFunction]:
    """Give the function of ``build`` as workers open it, for as long as the context lasts.

    Workers run this coldpress on this Python. Where the hooks' packages were compiled for another one, they run on
    that, with the packages of a batch bundle for it.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.

    Raises:
        EmulateError: it is none of these, or this machine lacks the Python that the hooks' packages need.
        ResolveError: what workers need cannot be had for that Python.
    """
    with unpacked(build, _is_needed) as folder, tempfile.TemporaryDirectory(prefix="coldpress-score-") as scratch:
        manifest = manifest_of(folder)
        if manifest is None:
            raise EmulateError(f"{build} holds no coldpress.json, so nothing says what it scores with; pack it again.")
        if manifest.fallback is not None and manifest.fallback.remote:
            raise EmulateError(f"{build} has no model of its own: its endpoint does. Give a function that has one.")
        root = Path(scratch, "function")
        _lay_out(folder, manifest, root)
        _place_engine(build, manifest.engine, root)
        environment = {**os.environ, **dict.fromkeys(_LIMITS, "1")}
        command: tuple[str, ...] = (sys.executable,)
        if manifest.hooks is not None and _bound(folder):
            python, minor = choose_interpreter(folder, None, _OURS)
            site = installed(batch_wheels("aws", minor, own_architecture(), cache_dir("wheels"), parquet=True))
            ours = Path(scratch, "ours")
            ours.mkdir()
            (ours / "coldpress_runtime").symlink_to(runtime_root())
            environment |= {"PYTHONPATH": os.pathsep.join(map(str, (ours, site))), "PYTHONNOUSERSITE": "1"}
            command = (str(python),)
        yield BatchFunction(root, target_of(folder), manifest, command, environment)


def _is_needed(name: str) -> bool:
    """Tell whether a file of a bundle is one that workers open; to unpack the others takes most of the time."""
    first = name.partition("/")[0]
    return first not in {"coldpress_runtime", _ENGINE} and first.removesuffix(".libs") not in _OURS


def _bound(folder: Path) -> bool:
    """Tell whether a package that hooks may import was compiled for another Python than this one."""
    own = f".cpython-{python_minor(sys.executable).replace('.', '')}-"
    compiled = (path.relative_to(folder) for path in folder.glob("**/*.cpython-3*.so"))
    return any(path.parts[0] not in _OURS and own not in path.name for path in compiled)


def _lay_out(folder: Path, manifest: Manifest, root: Path) -> None:
    """Make a folder of links to the function's files but for its engine, with one thread a session."""
    root.mkdir()
    engine = Path(manifest.engine.library)
    for place in folder.iterdir():
        if place.name not in {"coldpress.json", "coldpress_runtime", engine.parts[0]}:
            (root / place.name).symlink_to(place.resolve())
    (root / "coldpress.json").write_text(json.dumps({**manifest.to_dict(), "threads": 1, "fallback": None}), "utf-8")


def _place_engine(build: Path, engine: Engine, root: Path) -> None:
    """Link the engine: the bundle's where it runs here, which mostly is this machine's own."""
    place = root / engine.library
    place.parent.mkdir(parents=True, exist_ok=True)
    source = locate(build)
    if source.is_dir():
        shipped = (source / engine.library).resolve()
        place.symlink_to(shipped if shipped.is_file() and runs_here(shipped) else own_library())
        return
    own = own_library()
    if sha256_of(own) == engine.sha256:
        place.symlink_to(own)
    else:
        unpack(source, root, engine.library.__eq__)
        if not (place.is_file() and runs_here(place)):
            place.unlink(missing_ok=True)
            place.symlink_to(own)
