"""Functions for every target around a tiny model, as ``coldpress pack`` lays them out, without packing one."""

import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from coldpress._resources import runtime_root, template_root
from coldpress.bundle.packages import install
from coldpress.cache import cache_dir
from coldpress.interpreters import find_interpreter
from coldpress.targets import TARGETS, runtime_modules
from tests.support.tiny import write_bundle

__all__ = ["MINOR", "PYTHON", "needs", "write_function"]

MINOR = next((minor for minor in ("3.13", "3.14", "3.12") if find_interpreter(minor)), None)
"""The first Python on this machine for which a container's server is pinned, or None."""
PYTHON = (MINOR and find_interpreter(MINOR)) or Path(sys.executable)
"""What functions run on: that one, or where there is none, the Python of these tests, which the other targets take."""
_ARCHITECTURE = "arm64" if platform.machine() == "aarch64" else "x86_64"


def needs(target: str) -> pytest.MarkDecorator:
    """Skip a test of ``target`` where its function cannot run."""
    cannot = TARGETS[target].server and MINOR is None
    return pytest.mark.skipif(cannot, reason="the server is pinned for Python 3.12, 3.13 and 3.14; none is here")


def write_function(root: Path, target: str, model: Any, hooks: str | None = None, /, **changes: Any) -> Path:
    """Lay out a function of ``target`` in ``root``; the arguments after that are those of ``write_bundle``."""
    write_bundle(root, model, hooks, **changes)
    for file in TARGETS[target].files:
        shutil.copy(template_root() / target / file, root)
    for source in runtime_modules(target, fallback=changes.get("fallback") is not None):
        place = root / "coldpress_runtime" / source.relative_to(runtime_root())
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    if MINOR is not None:
        install(TARGETS[target].packages(MINOR, _ARCHITECTURE, cache_dir("wheels")), root)
    return root
