"""AWS's runtime interface emulator, the binary that the SAM CLI carries, around one function's folder."""

import contextlib
import os
import platform
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import coldpress.emulate
from coldpress.emulate.clients import client
from coldpress.emulate.server import free_port
from tests.support.local_aws import tool

__all__ = ["InterfaceEmulator"]

_INVOKE = "/2015-03-31/functions/function/invocations"
_LAUNCH = Path(coldpress.emulate.__file__).with_name("_launch.py")


def _binary() -> Path:
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
    (rapid,) = tool("sam", "python").parents[1].glob("lib/python*/site-packages/samcli/local/rapid")
    return rapid / f"aws-lambda-rie-{machine}"


class InterfaceEmulator:
    """The function in ``folder`` behind the emulator, on the loopback interface. Use as a context manager.

    Args:
        folder: an unpacked function.
        python: the interpreter for it.
        scratch: a folder for the emulator's log.
    """

    def __init__(self, folder: Path, python: Path, scratch: Path) -> None:
        door, api = free_port(), free_port()
        self._address = f"http://127.0.0.1:{door}{_INVOKE}"
        self._log = scratch / "emulator.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *(_binary(), "--runtime-interface-emulator-address", f"127.0.0.1:{door}"),
                    *("--runtime-api-address", f"127.0.0.1:{api}"),
                    *(python, "-I", "-S", "-B", _LAUNCH, folder, client("aws", python), "app.handler"),
                ],
                cwd=folder,
                env={
                    "PATH": os.environ["PATH"],
                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
                    "AWS_LAMBDA_FUNCTION_TIMEOUT": "30",
                    "LAMBDA_TASK_ROOT": str(folder),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self) -> str:
        """Return what the emulator and the function have written."""
        return self._log.read_text(errors="replace")

    def invoke(self, event: bytes, timeout_s: float = 60) -> bytes:
        """Send one event, once the emulator listens, and return the function's answer."""
        until = time.monotonic() + timeout_s
        while True:
            request = urllib.request.Request(self._address, data=event, method="POST")
            try:
                with urllib.request.urlopen(request, timeout=timeout_s) as reply:
                    return reply.read()
            except urllib.error.HTTPError:
                raise
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def close(self) -> None:
        """End the emulator and the function."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
