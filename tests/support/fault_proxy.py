"""A TCP proxy between a client and a real HTTP server that injects faults, one a request.

Each request takes the next of the faults that were queued, or else the one that is always there (``pass``)::

    pass           what the server answers
    delay          the same, after ``seconds``
    reset          the connection is reset before anything of an answer
    reset-body     the connection is reset in the middle of the answer's body
    close          the connection is closed before anything of an answer
    half-open      the request is taken, and never answered
    slow-body      the answer's body byte by byte, ``seconds`` between them
    garbage        bytes that are no HTTP
    truncated      half of the body, then the end
    length-long    a Content-Length above what comes, then silence
    length-short   a Content-Length below what comes
    length-bad     a Content-Length that is no number
    chunk-bad      a chunk whose length is no number
    gzip           the same answer, compressed
    gzip-bad       what is said to be compressed, and is not
    gzip-bomb      a few bytes that become ``size``
    encoding       a content encoding that nobody asked for
    huge           a body of ``size`` bytes, which its head says
    huge-chunked   a body of ``size`` bytes, which its head does not say
    redirect       302 to somewhere else
    status         ``status`` with ``headers`` and ``body``, and no question to the server
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import ssl

__all__ = ["Fault", "FaultProxy", "Seen"]

_NO_LINGER = struct.pack("ii", 1, 0)  # closing with this sends a reset
_PIECE = 65536


@dataclass(frozen=True)
class Fault:
    """A fault of the list above, and its figures."""

    kind: str
    seconds: float = 0.0
    size: int = 0
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class FaultProxy:
    """A running proxy. Use as a context manager.

    Args:
        upstream: host and port of the server.
        tls: makes the proxy speak TLS to its clients; the server is asked in plain.
        choose: picks the fault of the nth request, for traffic with a mixture; instead of ``queue`` and ``always``.
    """

    def __init__(
        self,
        upstream: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        choose: Callable[[int], Fault] | None = None,
    ) -> None:
        self._upstream = upstream
        self._tls = tls
        self._choose = choose
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._clients: set[socket.socket] = set()
        self.queue: deque[Fault] = deque()
        self.always = Fault("pass")
        self.seen: list[Seen] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def open(self) -> int:
        """How many clients are connected now."""
        with self._lock:
            return len(self._clients)

    def drop_idle(self) -> None:
        """Close every connection that is there, as a server does with idle ones."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it; what is asked from now on is refused."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        link = client
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                link = self._tls.wrap_socket(client, server_side=True)
                with self._lock:
                    self._clients.discard(client)
                    self._clients.add(link)
            with link.makefile("rb") as reader:
                while (request := _read_request(reader)) is not None:
                    with self._lock:
                        fault = self._take()
                        self.seen.append(request)
                    if not self._answer(link, request, fault):
                        return
        except (OSError, ValueError):
            return
        finally:
            with self._lock:
                self._clients.discard(client)
                self._clients.discard(link)
            with contextlib.suppress(OSError):
                link.close()

    def _take(self) -> Fault:
        if self._choose is not None:
            return self._choose(len(self.seen))
        return self.queue.popleft() if self.queue else self.always

    def _answer(self, client: socket.socket, request: Seen, fault: Fault) -> bool:
        """Answer with a fault; returns whether the connection goes on."""
        kind = fault.kind
        if kind == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            return False
        if kind == "close":
            return False
        if kind == "half-open":
            self._hold(client)
            return False
        if kind == "garbage":
            client.sendall(b"\x00\xff\x13garbage\r\n\r\n" * 20)
            return False
        if kind == "redirect":
            client.sendall(_head(302, {"Location": "http://169.254.169.254/latest/", "Content-Length": "0"}))
            return True
        if kind == "status":
            client.sendall(_head(fault.status, {"Content-Length": str(len(fault.body))} | fault.headers) + fault.body)
            return True
        if kind in {"huge", "huge-chunked"}:
            return self._flood(client, fault)
        if kind == "delay" and self._ended.wait(fault.seconds):
            return False
        return self._altered(client, fault, *self._ask(request))

    def _ask(self, request: Seen) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(*self._upstream, timeout=30)
        try:
            headers = {name: value for name, value in request.headers.items() if name != "host"}
            upstream.request(request.method, request.target, request.body, headers)
            reply = upstream.getresponse()
            return reply.status, {name.title(): value for name, value in reply.getheaders()}, reply.read()
        finally:
            upstream.close()

    def _altered(self, client: socket.socket, fault: Fault, status: int, headers: dict[str, str], body: bytes) -> bool:
        kind, half = fault.kind, len(body) // 2
        if kind == "gzip":
            body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
        elif kind == "gzip-bomb":
            body, headers["Content-Encoding"] = gzip.compress(bytes(fault.size)), "gzip"
        elif kind in {"gzip-bad", "encoding"}:
            headers["Content-Encoding"] = "gzip" if kind == "gzip-bad" else "br"
        length = {"length-long": str(len(body) + 10), "length-short": str(half), "length-bad": "many"}
        headers["Content-Length"] = length.get(kind, str(len(body)))
        if kind == "chunk-bad":
            del headers["Content-Length"]
            client.sendall(_head(status, headers | {"Transfer-Encoding": "chunked"}) + b"zz\r\n" + body)
            return False
        if kind == "slow-body":
            client.sendall(_head(status, headers))
            for place in range(len(body)):
                if self._ended.wait(fault.seconds):
                    return False
                client.sendall(body[place : place + 1])
            return True
        if kind in {"reset-body", "truncated"}:
            client.sendall(_head(status, headers) + body[:half])
            if kind == "reset-body":
                self._drain(client)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            return False
        client.sendall(_head(status, headers) + body)
        if kind == "length-long":
            self._hold(client)
            return False
        return True

    def _flood(self, client: socket.socket, fault: Fault) -> bool:
        chunked = fault.kind == "huge-chunked"
        framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(fault.size)}
        client.sendall(_head(200, {"Content-Type": "application/json"} | framing))
        piece = b" " * _PIECE
        for _ in range(fault.size // _PIECE):
            client.sendall(b"%x\r\n%b\r\n" % (_PIECE, piece) if chunked else piece)
        return False

    def _hold(self, client: socket.socket) -> None:
        """Wait until the client goes."""
        while not self._ended.is_set():
            if select.select([client], [], [], 0.2)[0] and not client.recv(_PIECE):
                return

    def _drain(self, client: socket.socket) -> None:
        """Let the client read what was sent: a reset that overtakes data takes it away."""
        gone = select.poll()
        gone.register(client, 0)
        unsent = struct.Struct("i")
        import fcntl
        import termios

        while unsent.unpack(fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]:
            if self._ended.wait(0.001) or gone.poll(0):
                return


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() != "connection"]
    return "\r\n".join([*lines, "", ""]).encode()


def _read_request(reader: Any) -> Seen | None:
    line = reader.readline()
    if not line:
        return None
    method, target, version = line.decode("latin-1").split(" ", 2)
    if not version.startswith("HTTP/1."):  # a TLS hello has spaces and line ends too, wherever chance put them
        raise ValueError(version)
    parsed = http.client.parse_headers(reader)
    headers = {name.lower(): value for name, value in parsed.items()}
    length = int(headers.get("content-length", "0"))
    body = reader.read(length)
    return Seen(method, target, headers, body) if len(body) == length else None  # cut off while it was sent
