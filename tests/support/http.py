"""Requests to a service as tests write them, and a real HTTP server over one."""

import contextlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from coldpress_runtime.http import REASONS, Request, Response
from coldpress_runtime.service import Service

__all__ = ["ask", "get", "infer", "predict", "serving", "wsgi"]


def ask(service: Service, method: str, path: str, body: bytes = b"", **headers: str) -> Response:
    """Send one request; header names are given with ``_`` for ``-``."""
    names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return service.answer(Request(method, path, names, body))


def get(service: Service, path: str) -> Any:
    """GET a path that must answer with JSON."""
    response = ask(service, "GET", path)
    assert response.status == 200, response.body
    return json.loads(response.body)


def _post(service: Service, path: str, document: Any, status: int) -> Any:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    response = ask(service, "POST", path, body, content_type="application/json")
    assert response.status == status, response.body
    answer = json.loads(response.body, parse_constant=_refuse)
    return answer if status < 400 else answer["error"]


def _refuse(name: str) -> None:
    raise AssertionError(f"the answer holds {name}, which is not JSON")


def predict(service: Service, document: Any, status: int = 200) -> Any:
    """POST to /predict; returns the answer, or the error's message."""
    return _post(service, "/predict", document, status)


def infer(service: Service, document: Any, status: int = 200) -> Any:
    """POST to the model's infer path; returns the answer, or the error's message."""
    return _post(service, f"/v2/models/{service.manifest.name}/infer", document, status)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: Service

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, query = self.path.partition("?")
        response = self.service.answer(Request(self.command, path, headers, self.rfile.read(length), query))
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_TRACE = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


def wsgi(service: Service) -> Callable[..., list[bytes]]:
    """The service as a WSGI application (PEP 3333)."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        names = {key.removeprefix("HTTP_"): key for key in environ if key.startswith("HTTP_") or key == "CONTENT_TYPE"}
        headers = {name.replace("_", "-").lower(): environ[key] for name, key in names.items()}
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
        response = service.answer(
            Request(environ["REQUEST_METHOD"], path, headers, body, environ.get("QUERY_STRING", ""))
        )
        status = f"{response.status} {REASONS.get(response.status, 'Other')}"
        start_response(status, [*response.headers.items(), ("Content-Length", str(len(response.body)))])
        return [response.body]

    return app


@contextlib.contextmanager
def serving(service: Service) -> Iterator[str]:
    """Serve on a free port of localhost; yields ``host:port``."""
    handler = type("Handler", (_Handler,), {"service": service})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
