"""What a provider runs functions with, such as AWS's awslambdaric: fetched once, pinned by hash, kept compiled.

``locks/<name>.in`` names it and ``locks/<name>.txt`` pins it. It lives in a folder of its own in the cache, never in
the packager's environment, so that a function under test sees what it would see in the cloud and nothing else.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from coldpress.cache import cache_dir, kept_folder
from coldpress.errors import EmulateError, ResolveError

__all__ = ["client", "python_minor"]

_LOCKS = Path(__file__).with_name("locks")


@cache
def python_minor(python: str | Path) -> str:
    """Ask the interpreter ``python`` for its version, as ``"3.13"``.

    Raises:
        EmulateError: it does not run.
    """
    if Path(python) == Path(sys.executable):
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [python, "-I", "-S", "-c", question], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmulateError(
            f"The interpreter {python} does not run ({error}); name another one or leave it out."
        ) from None
    return done.stdout.strip()


def client(name: str, python: str | Path, minor: str | None = None) -> Path:
    """Return a folder that holds what ``locks/<name>.txt`` pins, compiled for the interpreter ``python``.

    Args:
        name: of the lock file, without ``.txt``: mostly a target's.
        python: the interpreter that will run it.
        minor: the version whose wheels to take, as ``"3.13"``; None: the interpreter's own.

    Raises:
        EmulateError: it cannot be had for this machine or interpreter.
        ResolveError: it cannot be downloaded.
    """
    if not sys.platform.startswith("linux"):
        raise EmulateError(
            f"What providers run functions with exists for Linux only, and this is {sys.platform}; "
            "run this command in a Linux container or on CI."
        )
    own = python_minor(python)
    minor = minor or own
    lock = _LOCKS / f"{name}.txt"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    tag = f"cp{minor.replace('.', '')}" + ("" if own == minor else f"-under-{own.replace('.', '')}")
    home = cache_dir("clients", name) / f"{tag}-{platform.machine()}-{digest}"

    def fill(tree: Path) -> None:
        with tempfile.TemporaryDirectory() as wheels:
            _download(name, lock, minor, Path(wheels))
            for wheel in sorted(Path(wheels).iterdir()):
                with zipfile.ZipFile(wheel) as archive:
                    archive.extractall(tree)  # each pinned by its hash
        compiled = subprocess.run(
            [python, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", tree, tree],
            capture_output=True,
            text=True,
            check=False,
        )
        if compiled.returncode:
            raise EmulateError(f"{python} could not compile the runtime of {name}: {compiled.stdout.strip()[-300:]}")

    return kept_folder(home, fill)


def _download(name: str, lock: Path, minor: str, into: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux2014_{machine}", f"manylinux_2_17_{machine}", f"manylinux_2_28_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--implementation", "cp"]
    command += ["--python-version", minor, *(word for each in platforms for word in ("--platform", each))]
    command += ["--dest", str(into), "--requirement", str(lock)]
    environment = os.environ | {"PYTHONNOUSERSITE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        shutil.rmtree(into, ignore_errors=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
        raise ResolveError(
            f"The runtime of {name} for Python {minor} on {machine} could not be downloaded "
            f"({lines[-1].removeprefix('ERROR: ')}); check the package index that pip uses and try again."
        )
