"""A store of one object that answers ranges, and misbehaves where it is told to."""

import re
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["RangeStore", "refuse"]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Say nothing of readers that have gone."""


class RangeStore:
    """A server on the loopback interface. Use as a context manager.

    Args:
        content: the object's bytes.
        faults: by the number of a request, from 0 on, what is done in place of an answer; it gets the handler, which
            is one of ``http.server``, and returns True when it has answered.
        context: makes it speak TLS.

    Attributes:
        content, etag: what there is; may be replaced.
        asked: the headers of every request, in order.
    """

    def __init__(self, content: bytes, faults: Iterable[tuple[int, Callable[[Any], bool]]] = (), context: Any = None):
        self.content, self.etag = content, '"first"'
        self.asked: list[dict[str, str]] = []
        self._faults = dict(faults)
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """What leads a reader of S3 here."""
        return {
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "very-secret",
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.port}",
        }

    def _handler(store) -> type[BaseHTTPRequestHandler]:  # noqa: N805  (two of them)
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with lock:
                    number = len(store.asked)
                    store.asked.append({name.lower(): value for name, value in self.headers.items()})
                fault = store._faults.get(number, store._faults.get(-1))
                if fault is not None and fault(self):
                    return None
                content, etag = store.content, store.etag
                if self.headers.get("if-match", etag) != etag:
                    return refuse(412, "PreconditionFailed")(self)
                first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["range"]).groups())
                if first >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                body = content[first : last + 1]
                self.send_response(206)
                self.send_header("ETag", etag)
                self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return None

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def refuse(status: int, code: str, **headers: str) -> Callable[[Any], bool]:
    """Return a fault: a refusal as S3 writes it."""

    def answer(handler: Any) -> bool:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>secrets of the store</Message></Error>"
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body.encode())
        return True

    return answer
