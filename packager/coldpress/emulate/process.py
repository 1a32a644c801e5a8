"""A built function in a process of its own: found, unpacked, given its interpreter, started, watched, ended.

What providers differ in, each ``emulate/<target>.py`` says in a subclass of `FunctionProcess`.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from coldpress.bundle.archive import safe_extract
from coldpress.emulate.clients import python_minor
from coldpress.errors import BundleError, EmulateError
from coldpress.targets import ENTRIES

__all__ = ["CLEAN", "WEIGHTS", "FunctionProcess", "choose_interpreter", "locate", "target_minor", "unpack", "unpacked"]

CLEAN: dict[str, str] = {"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", "TZ": ":UTC"}
"""The variables that every function sees, whatever is set here; a provider adds its own."""

WEIGHTS = "weights"
"""The folder beside a function that holds the model's file where that is too large for the function itself."""


def locate(build: str | Path) -> Path:
    """Return what there is to run in ``build``: an unpacked function's folder, or a zip.

    ``build`` is what ``coldpress pack`` wrote (``function.zip`` or ``function/`` inside), a zip, or an unpacked
    function.

    Raises:
        EmulateError: none of these is there.
    """
    path = Path(build)
    if path.is_file() and zipfile.is_zipfile(path):
        return path
    for folder in (path, path / "function"):
        if any((folder / entry).is_file() for entry in ENTRIES):
            return folder
    if (path / "function.zip").is_file():
        return path / "function.zip"
    found = (
        "there is nothing there"
        if not path.exists()
        else f"it holds neither function.zip nor function/ nor one of {', '.join(ENTRIES)}"
    )
    raise EmulateError(f"{build} is not a built function: {found}; run `coldpress pack MODEL --target TARGET` first.")


def unpack(archive: Path, into: Path, wanted: Callable[[str], bool] | None = None) -> None:
    """Unpack a function's zip into the folder ``into``, with its file modes; refuse entries that would land elsewhere.

    Args:
        archive: the zip.
        into: the folder.
        wanted: tells by its name whether a file is to be unpacked; None: all are.

    Raises:
        EmulateError: an absolute path, a ``..``, a link, a damaged archive, or more than 4 GB.
    """
    try:
        safe_extract(archive, into, wanted=wanted)
    except BundleError as error:
        raise EmulateError(str(error)) from error


@contextlib.contextmanager
def unpacked(build: str | Path, wanted: Callable[[str], bool] | None = None) -> Iterator[Path]:
    """Give a folder that holds the function of ``build`` unpacked, for as many starts as wanted.

    Weights that lie beside the function lie beside the folder too.

    Args:
        build: see `locate`.
        wanted: tells by its name whether a file of a zip is to be unpacked; None: all are.
    """
    source = locate(build)
    if source.is_dir():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="coldpress-") as scratch:
        folder = Path(scratch, "function")
        folder.mkdir()
        unpack(source, folder, wanted)
        if (weights := source.parent / WEIGHTS).is_dir():
            Path(scratch, WEIGHTS).symlink_to(weights.resolve())
        yield folder


def _local_weights(root: Path, beside: Path) -> dict[str, str]:
    """Return the variable by which the function in ``root`` finds its weights in the build, if they are there."""
    try:
        record = json.loads((root / "coldpress.json").read_bytes()).get("weights")
        file = beside / WEIGHTS / f"{record['sha256']}.ort"
    except (OSError, ValueError, AttributeError, TypeError, KeyError):  # the function itself says what is wrong
        return {}
    return {"COLDPRESS_WEIGHTS": str(file.resolve())} if file.is_file() else {}


def target_minor(folder: Path) -> str | None:
    """Tell for which Python (``"3.13"``) the function was built, from its bytecode and compiled modules."""
    for pattern, tag in (("**/*.cpython-*.so", r"\.cpython-3(\d+)-"), ("**/__pycache__/*.pyc", r"\.cpython-3(\d+)\.")):
        for path in folder.glob(pattern):
            if match := re.search(tag, path.name):
                return f"3.{match[1]}"
    return None


def choose_interpreter(root: Path, python: str | Path | None, replaced: Collection[str] = ()) -> tuple[Path, str]:
    """Choose the interpreter for the function in ``root``; return it with its minor version.

    Args:
        root: the function, unpacked.
        python: the interpreter to take; None: one of the function's own minor version, else the one that runs this.
        replaced: packages of the function that whoever starts it brings for the interpreter.

    Raises:
        EmulateError: the function holds modules that were compiled for another Python than the one there is.
    """
    target = target_minor(root)
    chosen = Path(python).absolute() if python is not None else _find(target)
    minor = python_minor(chosen)
    compiled = (path.relative_to(root) for path in root.glob("**/*.cpython-3*.so"))
    bound = next((path for path in compiled if path.parts[0] not in replaced), None)
    if target and minor != target and bound is not None:
        raise EmulateError(
            f"The function holds modules compiled for Python {target} ({bound}), and the "
            f"interpreter here is {minor}; install Python {target}, or build the function for {minor}."
        )
    return chosen, minor


def _find(minor: str | None) -> Path:
    from coldpress.interpreters import find_interpreter  # noqa: PLC0415  (it looks around the machine)

    return (find_interpreter(minor) if minor else None) or Path(sys.executable)


class FunctionProcess(ABC):
    """A started function: a process that waits for requests. Use as a context manager.

    A subclass says in ``_begin`` how its provider starts it, and in ``call`` how a request reaches it.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        python: the interpreter to run it with; None: one of the function's own minor version when there is one here,
            else the one that runs this.
        memory_mb, timeout_s: what the function is told it has; an answer later than ``timeout_s`` ends it.
        init_timeout_s: seconds to wait for it to be ready.
        environment: further variables that it sees.

    Attributes:
        EMPTY: the files, by name, of a function that does nothing, for the same start: what the provider costs alone.
        REPLACED: packages of the function that the subclass brings by itself for another Python.
        root: the unpacked function.
        scratch: a folder of this process's own, gone when it is closed.
        init_ms: from the start of the process to its being ready for work, in milliseconds.
        python, minor: the interpreter it runs on, and its version.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """

    EMPTY: ClassVar[Mapping[str, str]]
    REPLACED: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        build: str | Path,
        *,
        python: str | Path | None = None,
        memory_mb: int = 1024,
        timeout_s: float = 30.0,
        init_timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        source = locate(build)
        self.scratch = Path(tempfile.mkdtemp(prefix="coldpress-"))
        self.memory_mb, self.timeout_s, self.init_timeout_s = memory_mb, timeout_s, init_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        try:
            if source.is_file():
                self.root = self.scratch / "task"
                unpack(source, self.root)
            else:
                self.root = source.resolve()
            self.python, self.minor = choose_interpreter(self.root, python, self.REPLACED)
            self.init_ms = self._begin(_local_weights(self.root, source.parent) | dict(environment or {}))
        except BaseException:
            self.close()
            raise

    @abstractmethod
    def _begin(self, environment: dict[str, str]) -> float:
        """Start the function and wait until it is ready; return how many milliseconds that took.

        Args:
            environment: what the caller wants set beside the provider's own variables.
        """

    def _spawn(
        self, command: Sequence[object], variables: Mapping[str, str], *, pass_fds: tuple[int, ...] = ()
    ) -> float:
        """Start ``command`` in the function's folder with these variables alone; return when, by ``perf_counter``."""
        with (self.scratch / "log").open("wb") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                list(map(str, command)),
                cwd=self.root,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()
        return started

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        last = [line for line in self.logs().splitlines() if line.strip()][-3:]
        self._ended(f"The function's process ended with {how}; its last words: {' / '.join(last)[-300:] or 'none'}")

    @abstractmethod
    def _ended(self, why: str) -> None:
        """Tell whoever waits for the process that it has ended; called on a thread of its own."""

    @property
    def pid(self) -> int:
        """Process id of the function."""
        if self._process is None:
            raise EmulateError("The function is closed; start another one.")
        return self._process.pid

    @property
    def peak_mb(self) -> float:
        """Largest resident memory of the process so far, in MB (10^6 bytes), from Linux's VmHWM; it must still run."""
        for line in Path(f"/proc/{self.pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
        raise EmulateError("The function's process has ended, so its memory cannot be read any more.")

    def logs(self) -> str:
        """Return what the function has written to stdout and stderr so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.scratch / "log").read_text("utf-8", "replace")
        return ""

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        self._kill()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
