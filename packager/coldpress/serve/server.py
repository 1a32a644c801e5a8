"""The HTTP server around the application: its socket first, so that a port in use is said before a model is loaded."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from coldpress.errors import ConfigError

__all__ = ["address", "is_local", "listen", "run"]

_BACKLOG = 2048
_GRACE_S = 2  # for requests that are under way when the server is stopped
_CLOSING_S = 2  # and then for their callers to be told that there will be no answer


def listen(host: str, port: int) -> socket.socket:
    """Open the server's socket; port 0 takes a free one.

    Raises:
        ConfigError: the host is none of this machine's, or the port cannot be had.
    """
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(place[:2], family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError):  # the second: no name could be spelled so
        raise ConfigError(f"--host {host!r} is no address; leave it out for this machine alone.") from None
    except OSError as error:
        why = {
            errno.EADDRINUSE: f"Port {port} of {host} is in use; stop what listens there, or choose --port 0.",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine; leave --host out for this machine alone.",
            errno.EACCES: f"Port {port} is for the system alone; choose one above 1023 with --port.",
        }
        said = why.get(error.errno or 0, f"The system gives no socket at {host}:{port} ({error.strerror}).")
        raise ConfigError(said) from None
    # Connections inherit it. asyncio sets it only for sockets that name TCP as their protocol, which this one does not;
    # without it an answer waits 40 ms for the caller to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address(listener: socket.socket) -> str:
    """The URL under which a browser on this machine finds the server."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_local(listener: socket.socket) -> bool:
    """Whether only this machine reaches the server."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def run(app: ASGIApp, listener: socket.socket, give_up: Callable[[], None]) -> None:
    """Serve until the process is told to stop; raises KeyboardInterrupt then.

    Args:
        app: the application.
        listener: from `listen`.
        give_up: ends what requests still wait for, a while after the server was told to stop.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=_GRACE_S + _CLOSING_S,
    )
    _Server(config, give_up).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, give_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._give_up = give_up

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().call_later(_GRACE_S, self._give_up)
        await super().shutdown(sockets)
