"""Packages in a bundle, imported by the function's own interpreter as the function would import them."""

import subprocess
from pathlib import Path

from coldpress.bundle.packages import RESERVED
from coldpress.bundle.trim import Trimmed, culprits, restore

__all__ = ["import_error", "last_words", "restorable", "top_level"]

_TIMEOUT_S = 120
_IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); __import__(sys.argv[2])"


def top_level(folder: Path) -> tuple[str, ...]:
    """Return the modules at the root of a bundle that its own parts did not bring, sorted."""
    names = set()
    for path in folder.iterdir():
        if path.name in RESERVED or path.name.endswith((".dist-info", ".libs", ".data")):
            continue
        stem = path.name.partition(".")[0]
        module = path.suffix in {".py", ".so"} if path.is_file() else (path / "__init__.py").is_file()
        if module and stem.isidentifier() and stem not in RESERVED:
            names.add(stem)
    return tuple(sorted(names))


def import_error(python: Path, folder: Path, module: str) -> str:
    """Import ``module`` from the bundle in an empty environment; return what went wrong, or an empty string."""
    command = [str(python), "-I", "-S", "-B", "-c", _IMPORT, str(folder), module]
    try:
        done = subprocess.run(
            command, cwd=folder, env={}, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"importing {module} took longer than {_TIMEOUT_S} s"
    return "" if done.returncode == 0 else done.stderr.strip()[-4000:] or f"exit code {done.returncode}"


def last_words(error: str) -> str:
    """Return what a traceback ends with, the exception and its message, on one line."""
    lines = error.splitlines() or [""]
    frames = [place for place, line in enumerate(lines) if line.startswith("  ")]
    return " ".join(lines[frames[-1] + 1 :] if frames else lines[-1:]).strip() or lines[-1].strip()


def restorable(trimmed: Trimmed, error: str) -> tuple[Trimmed, str] | None:
    """Put back what ``error`` misses, if trimming took it; return what is still out, and what came back."""
    for name in culprits(trimmed, error):
        return restore(trimmed, name), name
    return None
