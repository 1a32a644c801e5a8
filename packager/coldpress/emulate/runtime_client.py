"""AWS's own runtime client (awslambdaric) for one interpreter: fetched once, pinned by hash, kept compiled.

It lives in a folder of its own in the cache, never in the packager's environment, so that a function under test sees
what it would see on Lambda and nothing else.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from coldpress.cache import cache_dir
from coldpress.errors import EmulateError, ResolveError

__all__ = ["python_minor", "runtime_client"]

_LOCK = Path(__file__).with_name("runtime_client.txt")


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


def runtime_client(python: str | Path, minor: str | None = None) -> Path:
    """Return a folder that holds ``awslambdaric`` and what it needs, compiled for the interpreter ``python``.

    Args:
        python: the interpreter that will run it.
        minor: its version as ``"3.13"``, when the caller knows it.

    Raises:
        EmulateError: it cannot be had for this machine or interpreter.
        ResolveError: it cannot be downloaded.
    """
    if not sys.platform.startswith("linux"):
        raise EmulateError(
            f"Lambda's runtime client exists for Linux only, and this is {sys.platform}; "
            "run this command in a Linux container or on CI."
        )
    minor = minor or python_minor(python)
    lock = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    home = cache_dir("awslambdaric") / f"cp{minor.replace('.', '')}-{platform.machine()}-{lock}"
    if home.is_dir():
        return home
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".new-") as scratch:
        wheels, tree = Path(scratch, "wheels"), Path(scratch, "tree")
        _download(minor, wheels)
        for wheel in sorted(wheels.iterdir()):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(tree)  # each pinned by its hash
        compiled = subprocess.run(
            [python, "-I", "-S", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", tree, tree],
            capture_output=True,
            text=True,
            check=False,
        )
        if compiled.returncode:
            raise EmulateError(f"{python} could not compile Lambda's runtime client: {compiled.stdout.strip()[-300:]}")
        try:
            tree.rename(home)
        except OSError:
            if not home.is_dir():  # else somebody else was quicker, with the same bytes
                raise
    return home


def _download(minor: str, into: Path) -> None:
    machine = platform.machine()
    platforms = [f"manylinux2014_{machine}", f"manylinux_2_17_{machine}", f"manylinux_2_28_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--implementation", "cp"]
    command += ["--python-version", minor, *(word for name in platforms for word in ("--platform", name))]
    command += ["--dest", str(into), "--requirement", str(_LOCK)]
    environment = os.environ | {"PYTHONNOUSERSITE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        shutil.rmtree(into, ignore_errors=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr.strip()[-300:]]
        raise ResolveError(
            f"Lambda's runtime client for Python {minor} on {machine} could not be downloaded "
            f"({lines[-1].removeprefix('ERROR: ')}); check the package index that pip uses and try again."
        )
