"""A model that is not packed, answered in this process by the same service that runs in a function."""

import re
import sys
import time
from pathlib import Path
from typing import Self

from coldpress.emulate.http import Call, HttpRequest, Reply
from coldpress.errors import EmulateError
from coldpress_runtime.http import Request
from coldpress_runtime.library import find_library
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.ort import Session, SessionOptions
from coldpress_runtime.service import Service

__all__ = ["ModelFunction"]

_LIMIT = 64 << 20  # bytes of a body or an answer; a provider's are smaller, and `pack` knows them


class ModelFunction:
    """An ONNX file with the interface of a started function: no provider's runtime, no hooks, no limits of a cloud.

    Args:
        path: the model.

    Attributes:
        manifest: what a function of this model would have, as far as it matters here.

    Raises:
        ColdpressError: the model does not open, or the engine is not there.
    """

    def __init__(self, path: Path) -> None:
        started = time.perf_counter()
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem).strip("-.")[:64] or "model"
        self.manifest = Manifest.parse(_manifest(name))
        session = Session(str(path), SessionOptions(), library=find_library())
        self._service = Service(str(path.parent), self.manifest, session, None, portable=False)
        self.init_ms = (time.perf_counter() - started) * 1e3
        self.python = Path(sys.executable)
        self.minor = f"{sys.version_info.major}.{sys.version_info.minor}"

    @property
    def peak_mb(self) -> float:
        """Largest resident memory of this process so far, in MB (10^6 bytes)."""
        import resource  # noqa: PLC0415  (not on every system)

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

    def call(self, request: HttpRequest, door: str | None = None) -> Call:
        """Answer one request; may be called from several threads at once.

        Raises:
            EmulateError: an event was asked for, which is a provider's.
        """
        if door is not None:
            raise EmulateError(f"A model that is not packed takes no event {door}; pack it first.")
        path, _, query = request.path.partition("?")
        started = time.perf_counter()
        response = self._service.answer(Request(request.method, path, request.all_headers(), request.body, query))
        ms = (time.perf_counter() - started) * 1e3
        headers = {key.lower(): value for key, value in response.headers.items()}
        headers["server-timing"] = response.timings.header()
        return Call(Reply(response.status, headers, response.body), ms)

    def logs(self) -> str:
        """Return nothing: what the service has to say goes to this process's own output."""
        return ""

    def close(self) -> None:
        """Do nothing: a thread may still run the model, which goes with the process."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _manifest(name: str) -> dict[str, object]:
    digest = "0" * 64  # of nothing: there is no bundle whose files could be audited
    return {
        "format": 1,
        "name": name,
        "version": "1",
        "engine": {"library": "lib/libonnxruntime.so", "version": "installed", "sha256": digest},
        "model": {
            "path": "model.onnx",
            "sha256": digest,
            "optimization": "all",
            "mapped": False,
            "prepacking": True,
            "cpu": [],
        },
        "portable": None,
        "threads": 1,
        "warmup": {"inputs": [], "data": None},
        "hooks": None,
        "batch": None,
        "fallback": None,
        "weights": None,
        "limits": {"request_bytes": _LIMIT, "response_bytes": _LIMIT},
        "function": {"memory_mb": 1024, "timeout_s": 30},
    }
