"""Run a built function as its container does: the command of the Dockerfile, in the function's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from coldpress.bundle.packages import installed
from coldpress.bundle.server import server_wheels
from coldpress.cache import cache_dir
from coldpress.emulate.process import CLEAN
from coldpress.emulate.server import ServerProcess, free_port
from coldpress.machine import own_architecture
from coldpress.render.container import COMMAND

__all__ = ["ServerFunction"]

_EMPTY = """async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""
_PROTOCOL = "from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol\n"


class ServerFunction(ServerProcess):
    """A started function behind the uvicorn that its bundle carries; it sees no other package.

    Where the function's own Python is missing, the same server compiled for the one there is stands in.
    """

    EMPTY: ClassVar[Mapping[str, str]] = {"server.py": _EMPTY, "coldpress_runtime/http_protocol.py": _PROTOCOL}
    REPLACED: ClassVar[tuple[str, ...]] = ("httptools",)

    def _begin(self, environment: dict[str, str]) -> float:
        port = free_port()
        variables = {
            **CLEAN,
            "PYTHONDONTWRITEBYTECODE": "1",
            "UVICORN_HOST": "127.0.0.1",
            "UVICORN_PORT": str(port),
        }
        _python, *words = COMMAND
        if not self._server_runs():
            # Python with -m and uvicorn would each look into the function's folder first.
            server = self._stand_in()
            variables["PYTHONPATH"] = f"{server}:{self.root}"
            words = ["-P", *words, "--app-dir", str(server)]
        return self._serve([self.python, *words], variables | environment, port)

    def _server_runs(self) -> bool:
        """Tell whether the server in the function was compiled for the interpreter there is."""
        compiled = [path.name for path in (self.root / "httptools" / "parser").glob("*.so")]
        return not compiled or any(f".cpython-{self.minor.replace('.', '')}-" in name for name in compiled)

    def _stand_in(self) -> Path:
        return installed(server_wheels(self.minor, own_architecture(), cache_dir("wheels")))
