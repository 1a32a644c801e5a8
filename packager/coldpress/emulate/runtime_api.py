"""The Lambda Runtime API: the HTTP server that a function's runtime client asks for work.

The protocol is AWS's (docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, version 2018-06-01): the client
long-polls ``invocation/next`` and answers on ``invocation/{id}/response`` or ``/error``; a function that fails to load
posts to ``init/error``. With SnapStart it asks ``restore/next`` between the two. Times are taken here, at the socket,
so that they hold what the provider would bill and none of the caller's own work.

HTTP is read by hand, not by ``http.server``: its header parser costs as much as a small model's whole answer.
"""

import json
import socketserver
import threading
import time
import uuid
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Self

from coldpress.errors import EmulateError

__all__ = ["Invocation", "RuntimeApi"]

_ROOT = "/2018-06-01/runtime/"
_MAX_BODY = 64 << 20  # keeps a runaway in bounds
_MAX_ANSWER = 6_291_556  # bytes of a buffered answer (Lambda quotas: 6 MB, and the 100 bytes of its error message)
_REGION = "eu-central-1"
_TOO_LARGE = json.dumps(
    {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": f"Response payload size exceeded maximum allowed payload size ({_MAX_ANSWER} bytes).",
    }
).encode()


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one event came to.

    Attributes:
        payload: the function's answer as it was posted; on an error, the error document.
        error: ``{"errorMessage", "errorType", "stackTrace", ...}`` when the handler raised, else None.
        ms: milliseconds from the event going out to the whole answer being in.
    """

    payload: bytes
    error: dict[str, Any] | None
    ms: float

    def json(self) -> Any:
        """Return the answer decoded from JSON."""
        return json.loads(self.payload)


class _Pending:
    """One event on its way through the function."""

    def __init__(self, payload: bytes, deadline_ms: int) -> None:
        self.id = str(uuid.uuid4())
        self.payload = payload
        self.deadline_ms = deadline_ms
        self.sent = 0.0
        self.result: Invocation | None = None
        self.trace = f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"

    def answered(self, payload: bytes, error: dict[str, Any] | None) -> None:
        self.result = Invocation(payload, error, (time.perf_counter() - self.sent) * 1e3)


class RuntimeApi:
    """A Runtime API server on a free port of the loopback interface, for one function process at a time.

    Use as a context manager. ``address`` is what goes into ``AWS_LAMBDA_RUNTIME_API``.
    """

    def __init__(self, function_name: str = "function") -> None:
        self.arn = f"arn:aws:lambda:{_REGION}:123456789012:function:{function_name}"
        self.ready_at: float | None = None  # perf_counter() of the first `next`
        self.init_error: dict[str, Any] | None = None
        self._events: SimpleQueue[_Pending | None] = SimpleQueue()
        self._flying: dict[str, _Pending] = {}
        self._change = threading.Condition()
        self._stopped: str | None = None
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.api = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """``host:port`` of the server."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving; whoever waits for an event is told to go."""
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()

    def stopped(self, why: str) -> None:
        """Say that the function's process has ended, so that nobody waits for it."""
        with self._change:
            self._stopped = why
            self._change.notify_all()

    def wait_ready(self, timeout_s: float) -> float:
        """Wait for the first ``next``; return the ``time.perf_counter()`` of its arrival.

        Raises:
            EmulateError: the function could not load (its own message), ended, or took more than ``timeout_s`` seconds.
        """
        with self._change:
            self._change.wait_for(lambda: self.ready_at or self.init_error or self._stopped, timeout_s)
            if self.init_error is not None:
                raise EmulateError(f"The function failed while starting: {_describe(self.init_error)}")
            if self.ready_at is not None:
                return self.ready_at
            raise EmulateError(self._stopped or f"The function was not ready after {timeout_s:g} s of starting.")

    def invoke(self, payload: bytes, timeout_s: float) -> Invocation:
        """Hand ``payload`` (a JSON document) to the function and wait for its answer.

        Raises:
            EmulateError: the process ended, or did not answer within ``timeout_s`` seconds.
        """
        pending = _Pending(payload, int((time.time() + timeout_s) * 1e3))
        self._events.put(pending)
        with self._change:
            self._change.wait_for(lambda: pending.result or self._stopped, timeout_s)
            if pending.result is not None:
                return pending.result
            raise EmulateError(
                self._stopped or f"The function did not answer within its time limit of {timeout_s:g} s."
            )

    # What the connections call, each on its own thread.

    def _next(self) -> _Pending | None:
        with self._change:
            if self.ready_at is None:
                self.ready_at = time.perf_counter()
                self._change.notify_all()
        pending = self._events.get()
        if pending is not None:
            self._flying[pending.id] = pending
        return pending

    def _finish(self, request_id: str, body: bytes, failed: bool) -> bool:
        pending = self._flying.pop(request_id, None)
        if pending is None:
            return False
        pending.answered(body, _document(body) if failed else None)
        with self._change:
            self._change.notify_all()
        return True

    def _failed_to_start(self, body: bytes) -> None:
        with self._change:
            self.init_error = _document(body)
            self._change.notify_all()


def _document(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"errorMessage": body.decode("utf-8", "replace"), "errorType": ""}


def _describe(error: dict[str, Any]) -> str:
    kind, message = error.get("errorType") or "Error", str(error.get("errorMessage") or "").strip()
    return f"{kind}: {message}" if message else str(kind)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    api: RuntimeApi

    def handle_error(self, *_args: object) -> None:
        """Say nothing: a killed function leaves its connection broken, and that is reported elsewhere."""


class _Connection(socketserver.StreamRequestHandler):
    """One keep-alive HTTP/1.1 connection."""

    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        while (request := self._read()) is not None:
            method, path, body = request
            if not self._answer(method, path, body):
                return

    def _read(self) -> tuple[str, str, bytes] | None:
        line = self.rfile.readline(65536)
        if not line:
            return None
        method, path, _version = line.decode("latin-1").split(maxsplit=2)
        headers: dict[str, str] = {}
        while (line := self.rfile.readline(4 << 20)) not in {b"\r\n", b"\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return method, path, self._chunks()
        length = int(headers.get("content-length") or 0)
        return (method, path, self.rfile.read(length)) if length <= _MAX_BODY else None

    def _chunks(self) -> bytes:
        whole = bytearray()
        while size := int(self.rfile.readline(1024).split(b";")[0], 16):
            whole += self.rfile.read(size)
            self.rfile.readline(8)
            if len(whole) > _MAX_BODY:
                break
        while self.rfile.readline(65536) not in {b"\r\n", b"\n", b""}:
            pass
        return bytes(whole)

    def _answer(self, method: str, path: str, body: bytes) -> bool:
        """Do what one request asks; False when the connection is over."""
        api = self.server.api
        if not path.startswith(_ROOT):
            return self._send(404, {"errorType": "InvalidPath", "errorMessage": path})
        parts = path.removeprefix(_ROOT).split("/")
        match method, parts:
            case "GET", ["invocation", "next"]:
                pending = api._next()  # noqa: SLF001  (server and connection are one idea)
                return pending is not None and self._send_event(pending)
            case "POST", ["invocation", request_id, ("response" | "error") as what]:
                if len(body) > _MAX_ANSWER:
                    api._finish(request_id, _TOO_LARGE, failed=True)  # noqa: SLF001
                    return self._send(413, {"errorType": "RequestEntityTooLarge", "errorMessage": "Exceeded limit"})
                known = api._finish(request_id, body, failed=what == "error")  # noqa: SLF001
                if not known:
                    return self._send(400, {"errorType": "InvalidRequestID", "errorMessage": "Invalid request ID"})
                return self._send(202, {"status": "OK"})
            case "POST", ["init" | "restore", "error"]:
                api._failed_to_start(body)  # noqa: SLF001
                return self._send(202, {"status": "OK"})
            case "GET", ["restore", "next"]:
                return self._send(200, {})
        return self._send(404, {"errorType": "InvalidPath", "errorMessage": f"{method} {path}"})

    def _send_event(self, pending: _Pending) -> bool:
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(pending.payload)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {pending.id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {pending.deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {self.server.api.arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {pending.trace}\r\n\r\n"
        )
        message = head.encode("latin-1") + pending.payload
        pending.sent = time.perf_counter()
        self.wfile.write(message)
        return True

    def _send(self, status: int, document: dict[str, Any]) -> bool:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode("latin-1") + body)
        return True
