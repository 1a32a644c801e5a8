"""Functions for every target around a tiny model, as ``coldpress pack`` lays them out, without packing one."""

import platform
import shutil
from pathlib import Path
from typing import Any

from coldpress._resources import runtime_root, template_root
from coldpress.bundle.packages import install
from coldpress.cache import cache_dir
from coldpress.interpreters import find_interpreter
from coldpress.targets import TARGETS, runtime_modules
from tests.support.tiny import write_bundle

__all__ = ["MINOR", "PYTHON", "write_function"]

MINOR = next((minor for minor in ("3.13", "3.14", "3.12") if find_interpreter(minor)), None)
"""The Python under which functions run here: the first of those that every target can have, or None."""
_ARCHITECTURE = "arm64" if platform.machine() == "aarch64" else "x86_64"
PYTHON = MINOR and find_interpreter(MINOR)


def write_function(root: Path, target: str, model: Any, hooks: str | None = None, /, **changes: Any) -> Path:
    """Lay out a function of ``target`` in ``root``; the arguments after that are those of ``write_bundle``."""
    write_bundle(root, model, hooks, **changes)
    for file in TARGETS[target].files:
        shutil.copy(template_root() / target / file, root)
    for source in runtime_modules(target):
        place = root / "coldpress_runtime" / source.relative_to(runtime_root())
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    if MINOR is not None:
        install(TARGETS[target].packages(MINOR, _ARCHITECTURE, cache_dir("wheels")), root)
    return root
