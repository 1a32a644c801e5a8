"""Find a Python of the function's own minor version: only that one can compile the bytecode it will load."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["find_interpreter"]

# One line, so that a shim which prints its own text does not pass for an interpreter. Alphas and betas are refused:
# their bytecode's magic number is not the one of the release.
_PROBE = (
    "import sys; print('%s %d.%d %s %s' % (sys.implementation.name, *sys.version_info[:2], "
    "sys.version_info.releaselevel, sys.executable))"
)


@cache
def find_interpreter(minor: str) -> Path | None:
    """Return the executable of a released CPython ``minor`` (for example ``"3.13"``), or None.

    Looks at the running interpreter, then at ``PATH``, then where pyenv and uv keep theirs. Each candidate is run
    once, so a pyenv shim for a version that is not selected does not count; the path returned is the real executable.
    """
    seen: set[Path] = set()
    for candidate in _candidates(minor):
        place = candidate.resolve()
        if place not in seen and (found := _probe(candidate, minor)):
            return found
        seen.add(place)
    return None


def _candidates(minor: str) -> Iterator[Path]:
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield Path(sys.executable)
    name = f"python{minor}.exe" if os.name == "nt" else f"python{minor}"
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder and (found := shutil.which(name, path=folder)):
            yield Path(found)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from _newest(pyenv, f"{minor}*", f"bin/{name}")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    yield from _newest(uv, f"cpython-{minor}*", f"bin/{name}")


def _newest(root: Path, pattern: str, inside: str) -> list[Path]:
    """Return ``inside`` of every folder of ``root`` that matches, the highest version first."""
    return sorted((folder / inside for folder in root.glob(pattern)), key=_version_key, reverse=True)


def _version_key(path: Path) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in path.parents[1].name)
    return tuple(int(part) for part in digits.split()[:3])


def _probe(candidate: Path, minor: str) -> Path | None:
    """Run ``candidate`` and return its own idea of where it is, when it is a released CPython of that minor."""
    if not candidate.is_file():
        return None
    try:
        done = subprocess.run([candidate, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.strip().split(" ", 3)
    if done.returncode or len(words) != 4 or words[:3] != ["cpython", minor, "final"]:
        return None
    return Path(words[3])
