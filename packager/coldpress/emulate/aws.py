"""Run a built function as AWS Lambda would: its own process, AWS's runtime client, an empty environment."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from coldpress.bundle.archive import safe_extract
from coldpress.emulate.runtime_api import Invocation, RuntimeApi
from coldpress.emulate.runtime_client import python_minor, runtime_client
from coldpress.errors import BundleError, EmulateError

__all__ = ["LambdaFunction", "locate", "target_minor", "unpack"]

_LAUNCH = Path(__file__).with_name("_launch.py")


def locate(build: str | Path) -> Path:
    """Return what there is to run in ``build``: an unpacked function's folder, or a zip.

    ``build`` is what ``coldpress pack`` wrote (``function.zip`` inside), a zip, or an unpacked function.

    Raises:
        EmulateError: none of these is there.
    """
    path = Path(build)
    if path.is_file() and zipfile.is_zipfile(path):
        return path
    if (path / "app.py").is_file():
        return path
    if (path / "function.zip").is_file():
        return path / "function.zip"
    found = "there is nothing there" if not path.exists() else "it holds neither function.zip nor app.py"
    raise EmulateError(f"{build} is not a built function: {found}; run `coldpress pack MODEL --target aws` first.")


def unpack(archive: Path, into: Path) -> None:
    """Unpack a function's zip into the folder ``into``, with its file modes; refuse entries that would land elsewhere.

    Raises:
        EmulateError: an absolute path, a ``..``, a link, a damaged archive, or more than 4 GB.
    """
    try:
        safe_extract(archive, into)
    except BundleError as error:
        raise EmulateError(str(error)) from error


def target_minor(folder: Path) -> str | None:
    """Tell for which Python (``"3.13"``) the function was built, from its bytecode and compiled modules."""
    for pattern, tag in (("**/*.cpython-*.so", r"\.cpython-3(\d+)-"), ("**/__pycache__/*.pyc", r"\.cpython-3(\d+)\.")):
        for path in folder.glob(pattern):
            if match := re.search(tag, path.name):
                return f"3.{match[1]}"
    return None


class LambdaFunction:
    """A started function: a process that waits for events. Use as a context manager.

    Example:
        >>> with LambdaFunction("build/aws") as function:
        ...     print(function.init_ms, function.invoke({"version": "2.0"}).json())

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        python: the interpreter to run it with; None: one of the function's own minor version when there is one here,
            else the one that runs this.
        handler: ``module.function``.
        memory_mb, timeout_s: what the function is told it has; an answer later than ``timeout_s`` ends it.
        init_timeout_s: seconds to wait for it to be ready.
        environment: further variables that it sees.

    Attributes:
        init_ms: from the start of the process to its first request for work, in milliseconds.
        python, minor: the interpreter it runs on, and its version.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """

    def __init__(
        self,
        build: str | Path,
        *,
        python: str | Path | None = None,
        handler: str = "app.handler",
        memory_mb: int = 1024,
        timeout_s: float = 30.0,
        init_timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        source = locate(build)
        self._scratch = Path(tempfile.mkdtemp(prefix="coldpress-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._api: RuntimeApi | None = None
        self.timeout_s = timeout_s
        try:
            if source.is_file():
                self.root = self._scratch / "task"
                unpack(source, self.root)
            else:
                self.root = source.resolve()
            self.python, self.minor = _interpreter(self.root, python)
            client = runtime_client(self.python, self.minor)
            self._api = RuntimeApi()
            variables = _environment(self.root, client, self._api.address, self.minor, handler, memory_mb)
            self.init_ms = self._start(client, handler, variables | dict(environment or {}), init_timeout_s)
        except BaseException:
            self.close()
            raise

    def _start(self, client: Path, handler: str, variables: dict[str, str], init_timeout_s: float) -> float:
        assert self._api is not None  # noqa: S101  (for the type checker: set by the caller)
        command = [str(self.python), "-I", "-S", "-B", str(_LAUNCH), str(self.root), str(client), handler]
        with (self._scratch / "log").open("wb") as log:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                command,
                cwd=self.root,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        threading.Thread(target=self._watch, args=(self._process, self._api), daemon=True).start()
        return (self._api.wait_ready(init_timeout_s) - started) * 1e3

    def _watch(self, process: subprocess.Popen[bytes], api: RuntimeApi) -> None:
        status = process.wait()
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        last = [line for line in self.logs().splitlines() if line.strip()][-3:]
        api.stopped(f"The function's process ended with {how}; its last words: {' / '.join(last)[-300:] or 'none'}")

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

    def invoke(self, event: Mapping[str, Any] | bytes) -> Invocation:
        """Send one event and wait for its answer.

        Args:
            event: what the handler gets, as a JSON-able mapping, or a JSON document as bytes.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone. A handler that raises is not an
                error here: the answer's ``error`` says so.
        """
        if self._api is None or self._process is None:
            raise EmulateError("The function is closed; start another one.")
        payload = bytes(event) if isinstance(event, bytes | bytearray | memoryview) else json.dumps(event).encode()
        try:
            return self._api.invoke(payload, self.timeout_s)
        except EmulateError:
            self._kill()
            raise

    def logs(self) -> str:
        """Return what the function has written to stdout and stderr so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self._scratch / "log").read_text("utf-8", "replace")
        return ""

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        self._kill()
        if self._api is not None:
            self._api.close()
            self._api = None
        shutil.rmtree(self._scratch, ignore_errors=True)

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


def _interpreter(root: Path, python: str | Path | None) -> tuple[Path, str]:
    """Choose the interpreter for the function in ``root``; return it with its minor version."""
    target = target_minor(root)
    chosen = Path(python).absolute() if python is not None else _find(target)
    minor = python_minor(chosen)
    if target and minor != target and (compiled := next(root.glob("**/*.cpython-3*.so"), None)) is not None:
        raise EmulateError(
            f"The function holds modules compiled for Python {target} ({compiled.relative_to(root)}), and the "
            f"interpreter here is {minor}; install Python {target}, or build the function for {minor}."
        )
    return chosen, minor


def _find(minor: str | None) -> Path:
    from coldpress.interpreters import find_interpreter  # noqa: PLC0415  (it looks around the machine)

    return (find_interpreter(minor) if minor else None) or Path(sys.executable)


def _environment(root: Path, client: Path, api: str, minor: str, handler: str, memory_mb: int) -> dict[str, str]:
    """Return the variables that Lambda sets (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
    return {
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_REGION": "eu-central-1",
        "LAMBDA_RUNTIME_DIR": str(client),
        "LAMBDA_TASK_ROOT": str(root),
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TZ": ":UTC",
        "_HANDLER": handler,
    }
