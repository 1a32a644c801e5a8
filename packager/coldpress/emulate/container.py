"""Run a built function as its container does: the command of the Dockerfile, in the function's folder."""

from collections.abc import Mapping
from typing import ClassVar

from coldpress.emulate.process import CLEAN
from coldpress.emulate.server import ServerProcess, free_port
from coldpress.render.container import COMMAND

__all__ = ["ServerFunction"]

_EMPTY = """async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


class ServerFunction(ServerProcess):
    """A started function behind the uvicorn that its bundle carries; it sees no other package."""

    EMPTY: ClassVar[Mapping[str, str]] = {"server.py": _EMPTY}

    def _begin(self, environment: dict[str, str]) -> float:
        port = free_port()
        variables = {
            **CLEAN,
            "PYTHONDONTWRITEBYTECODE": "1",
            "UVICORN_HOST": "127.0.0.1",
            "UVICORN_PORT": str(port),
        }
        _python, *words = COMMAND
        return self._serve([self.python, *words], variables | environment, port)
