"""The application that ``coldpress serve`` runs: the page at ``/``, what it needs to know, and the function itself.

Three paths are the page's own: ``/``, ``/playground/about.json`` and ``/playground/log``. Every other request goes to
the function as it came, and its reply back, so that whatever calls the deployed function can call this one.
"""

import asyncio
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError
from coldpress.measure import init_steps
from coldpress.serve.page import Page
from coldpress.serve.served import Served

__all__ = ["Forward", "OwnNames", "make_app"]

_THREADS = 32
_SLACK = 16 << 20  # so far above its limit the function still gets to say by how much a body is over
_LOG_TAIL = 64 << 10
# Of one connection alone (RFC 9110 section 7.6.1), or written anew for the next one.
_NOT_FORWARDED = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade expect host content-length".split()
)
_NOT_RETURNED = frozenset(
    ["connection", "keep-alive", "trailer", "transfer-encoding", "upgrade", "content-length", "date", "server"]
)


def make_app(served: Served, about: Mapping[str, Any], *, names: frozenset[str] | None) -> ASGIApp:
    """Make the application.

    Args:
        served: the function.
        about: what the page is told of it, see `coldpress.serve.about`; ``limits.request_bytes`` bounds bodies.
        names: the hosts that requests may name, in lower case; None where others than this machine may call.
    """
    pages = _pages(served, dict(about) | {"log": about["log"] and names is not None})
    own = {route.path for route in pages.routes if isinstance(route, APIRoute)}
    function = Forward(served, int(about["limits"]["request_bytes"]) + _SLACK)

    # Not mounted: what a framework does for each request takes longer than a small model.
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (pages if scope.get("path") in own else function)(scope, receive, send)

    return app if names is None else OwnNames(app, names)


def _pages(served: Served, about: Mapping[str, Any]) -> FastAPI:
    # Without its documentation pages, which load from elsewhere; /openapi.json is the function's.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    page = Page.load()
    fresh = {"Cache-Control": "no-store"}

    @app.api_route("/", methods=["GET", "HEAD"])
    async def show() -> HTMLResponse:
        return HTMLResponse(page.html, headers=page.headers)

    @app.get("/playground/about.json")
    async def tell() -> JSONResponse:
        return JSONResponse({**about, "steps": init_steps(served.log())}, headers=fresh)  # said with the first answer

    if about["log"]:  # not to others than this machine: it may quote one caller to another

        @app.get("/playground/log")
        async def log() -> PlainTextResponse:
            return PlainTextResponse(served.log()[-_LOG_TAIL:], headers=fresh)

    return app


class Forward:
    """An ASGI application that hands every request to the function.

    Args:
        served: the function.
        max_bytes: a body above this is refused here, before it takes up more memory.
    """

    def __init__(self, served: Served, max_bytes: int) -> None:
        self._served = served
        self._max_bytes = max_bytes
        self._threads = ThreadPoolExecutor(_THREADS, "coldpress-serve")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":  # a WebSocket: functions take none, and to return refuses it
            return
        body = await _body(receive, self._max_bytes)
        if body is None:
            return
        if len(body) > self._max_bytes:
            sentence = f"The body is over {self._max_bytes} bytes, far above this function's limit; send fewer rows."
            await _send_error(send, 413, sentence)
            return
        request = HttpRequest(scope["method"], _path(scope), _headers(scope), body)
        try:
            call = await asyncio.get_running_loop().run_in_executor(self._threads, self._served.call, request)
        except EmulateError as error:
            await _send_error(send, 502, str(error))
            return
        reply = call.reply
        headers = dict(reply.headers)
        if timing := headers.get("server-timing"):
            headers["server-timing"] = f"{timing}, function;dur={call.ms:.3f}"
        await _send(send, reply.status, headers, reply.body)


class OwnNames:
    """Middleware that lets requests through that name this machine.

    A page elsewhere can have its own name point here and would then count as this origin (DNS rebinding): it must not
    call the function, nor read its log.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
            if _name(host) not in self._names:
                sentence = f"This server answers to localhost alone, and the request names {host or 'no host'!r}"
                await _send_error(send, 421, f"{sentence}; start it with --host to let others in.")
                return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """The host without its port, in lower case."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _path(scope: Scope) -> str:
    """Path and query as they were sent."""
    path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query: bytes = scope["query_string"]
    return f"{path}?{query.decode('latin-1')}" if query else path


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        if raw not in _NOT_FORWARDED:
            name, text = raw.decode("latin-1"), value.decode("latin-1")
            headers[name] = f"{headers[name]},{text}" if name in headers else text
    return headers


async def _body(receive: Receive, max_bytes: int) -> bytes | None:
    """The body, or its beginning when it is over ``max_bytes``; None when the caller went away.

    What is over is read and forgotten: a caller who is still sending would not see the refusal.
    """
    whole = bytearray()
    more = True
    while more:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(whole) <= max_bytes:
            whole += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(whole)


async def _send(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [
        (name.encode("latin-1"), value.encode("latin-1", "replace"))
        for name, value in headers.items()
        if name not in _NOT_RETURNED
    ]
    if status not in {204, 304}:
        raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _send_error(send: Send, status: int, sentence: str) -> None:
    body = json.dumps({"error": sentence}).encode()
    await _send(send, status, {"content-type": "application/json"}, body)
