"""Run a built function as a Cloud Run function: its own process, under functions-framework's production server.

The server (gunicorn) is a master that forks the worker which answers; the framework's packages are those that a
deployment installs.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from coldpress.emulate.clients import client
from coldpress.emulate.http import Call
from coldpress.emulate.process import CLEAN
from coldpress.emulate.server import ServerProcess, free_port

__all__ = ["FrameworkFunction"]

_LAUNCH = Path(__file__).with_name("_framework.py")
_GUNICORN = "] [ERROR] "


class FrameworkFunction(ServerProcess):
    """A started function that answers HTTP requests, or takes the events of a bucket.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        target: the function in ``main.py``: ``predict`` or ``score_upload``.
        options: those of `FunctionProcess`.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """

    EMPTY: ClassVar[Mapping[str, str]] = {"main.py": "def predict(request):\n    return ''\n"}

    def __init__(self, build: str | Path, *, target: str = "predict", **options: Any) -> None:
        self._target = target
        super().__init__(build, **options)

    def _begin(self, environment: dict[str, str]) -> float:
        packages = client("gcp", self.python, self.minor)
        port = free_port()
        variables = CLEAN | self._variables(port) | environment
        listening_ms = self._serve([self.python, "-I", "-S", "-B", "-u", _LAUNCH, packages], variables, port)
        # The master listens before it forks, so a connection says nothing yet; an answer, whatever it is, does.
        connected = time.perf_counter()
        self._send("GET", "/v2/health/live", {}, b"")
        return listening_ms + (time.perf_counter() - connected) * 1e3

    def _variables(self, port: int) -> dict[str, str]:
        """Return what Cloud Run sets, and what its image does (docs.cloud.google.com/run/docs/container-contract)."""
        return {
            "CLOUD_RUN_TIMEOUT_SECONDS": str(int(self.timeout_s)),
            "FUNCTION_TARGET": self._target,
            "HOST": "127.0.0.1",
            "K_CONFIGURATION": "function",
            "K_REVISION": "function-00001-abc",
            "K_SERVICE": "function",
            "PORT": str(port),
            "PYTHONUNBUFFERED": "TRUE",
        }

    def deliver(self, upload: Mapping[str, Any], *, kind: str = "google.cloud.storage.object.v1.finalized") -> Call:
        """Send the event of a bucket as Eventarc does, and wait for the reply.

        Args:
            upload: the object, as the JSON API of Cloud Storage describes it; the event's data.
            kind: the event's type.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone.
        """
        bucket, name = upload.get("bucket"), upload.get("name")
        headers = {
            "ce-bucket": str(bucket),
            "ce-id": str(upload.get("generation")),
            "ce-source": f"//storage.googleapis.com/projects/_/buckets/{bucket}",
            "ce-specversion": "1.0",
            "ce-subject": f"objects/{name}".encode("ascii", "namereplace").decode(),
            "ce-time": "2026-11-21T12:00:00Z",
            "ce-type": kind,
            "content-type": "application/json; charset=utf-8",
            "user-agent": "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
        }
        return self._send("POST", "/", headers, json.dumps(dict(upload)).encode())

    @property
    def peak_mb(self) -> float:
        """Largest resident memory of the master and its worker together, in MB (10^6 bytes); they must still run."""
        return sum(_peak_kib(pid) for pid in (self.pid, *_children(self.pid))) * 1024 / 1e6

    def _ended(self, why: str) -> None:
        said = [line for line in self.logs().splitlines() if line.strip() and _GUNICORN not in line]
        super()._ended(f"The function failed to start: {said[-1]}" if "Worker failed to boot" in why and said else why)


def _children(pid: int) -> Iterator[int]:
    yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
