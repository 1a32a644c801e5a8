"""A built function that its provider reaches over HTTP on a port: the start, and the requests."""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coldpress.emulate.http import Call, HttpRequest, Reply
from coldpress.emulate.process import FunctionProcess
from coldpress.errors import EmulateError

__all__ = ["ServerProcess", "free_port"]

_HOST = "127.0.0.1"
_POLL_S = 0.001  # between two looks whether the server listens: what a measured start may be off by


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on, for a process that is about to.

    It lies below those that systems give out by themselves (Linux: from 32768; macOS: from 49152): until the process
    listens, none of them comes to another server, nor to a connection, which could then meet itself.
    """
    while True:
        port = random.randrange(20_000, 32_768)  # noqa: S311 - a place, not a secret
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((_HOST, port))
            return port


class ServerProcess(FunctionProcess):
    """A function whose runtime is an HTTP server; subclasses start it with ``_serve`` from their ``_begin``."""

    def __init__(self, build: str | Path, **options: Any) -> None:
        self._why: str | None = None
        self._gone = threading.Event()
        self._local = threading.local()  # each thread that calls has a connection of its own
        self._connections: list[http.client.HTTPConnection] = []
        super().__init__(build, **options)

    def _serve(self, command: Sequence[object], variables: Mapping[str, str], port: int) -> float:
        """Start ``command``, which is to listen on ``port``; return the milliseconds until it does."""
        self.port = port
        started = self._spawn(command, variables)
        while not self._gone.is_set():
            with contextlib.suppress(OSError), socket.create_connection((_HOST, port), self.init_timeout_s):
                return (time.perf_counter() - started) * 1e3
            if time.perf_counter() - started > self.init_timeout_s:
                raise EmulateError(f"The function was not ready after {self.init_timeout_s:g} s of starting.")
            time.sleep(_POLL_S)
        raise EmulateError(f"The function failed while starting: {self._why}")

    def call(self, request: HttpRequest, door: str | None = None) -> Call:
        """Send one request and wait for its reply; may be called from several threads at once.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone; or a door was asked for.
        """
        if door is not None:
            raise EmulateError(f"This function takes HTTP requests alone, not the event {door}; leave --event out.")
        return self._send(request.method, request.path, request.all_headers(), request.body)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Call:
        """Send a request as it is, over this thread's own connection."""
        if self._process is None:
            raise EmulateError("The function is closed; start another one.")
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(_HOST, self.port, timeout=self.timeout_s)
            self._connections.append(connection)
        try:
            return _exchange(connection, method, path, headers, body)
        except TimeoutError:
            self._kill()
            raise EmulateError(f"The function did not answer within its time limit of {self.timeout_s:g} s.") from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._gone.wait(1.0)  # for a process that has just ended: its own words say more
            raise EmulateError(self._why or f"The function broke the connection ({error!r}).") from None

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        super().close()
        for connection in self._connections:
            connection.close()

    def _ended(self, why: str) -> None:
        self._why = why
        self._gone.set()


def _exchange(
    connection: http.client.HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Call:
    if connection.sock is None:
        connection.connect()  # not part of the call: providers keep their connections open
    sent = time.perf_counter()
    connection.request(method, path, body=body or None, headers=dict(headers))
    response = connection.getresponse()
    content = response.read()
    ms = (time.perf_counter() - sent) * 1e3
    names: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        names[key] = f"{names[key]}, {value}" if key in names else value
    return Call(Reply(response.status, names, content), ms)
