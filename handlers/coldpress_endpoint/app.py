"""The ASGI application: requests to models are answered before any framework, the rest goes to FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from time import perf_counter
from typing import Any

from coldpress_endpoint.arrays import off_loop
from coldpress_endpoint.documents import PATHS, make_documents
from coldpress_endpoint.protocols import (
    azure_ml,
    open_inference,
    plain,
    sagemaker,
    tf_serving,
    torchserve,
    triton,
    vertex,
)
from coldpress_endpoint.routes import Answer, Call, Handler, Route, Router
from coldpress_endpoint.serving import ENDS, Serving
from coldpress_runtime.asgi_messages import decode
from coldpress_runtime.errors import (
    ColdpressError,
    DeadlineError,
    MethodNotAllowedError,
    RequestError,
    TooLargeError,
)
from coldpress_runtime.http import Request
from coldpress_runtime.inflate import inflate
from coldpress_runtime.json_text import describe, dump
from coldpress_runtime.refusals import failure, refusal

__all__ = ["App", "all_routes"]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_DEADLINE = "coldpress-deadline-ms"
_PROTOCOLS = (vertex, open_inference, triton, plain, tf_serving, torchserve, sagemaker, azure_ml)


def all_routes(serving: Serving) -> list[Route]:
    """The routes of every protocol; where two want a path, the one that comes first has it."""
    return [route for protocol in _PROTOCOLS for route in protocol.routes(serving)]


class App:
    """Answers HTTP requests.

    Args:
        serving: the models.
        routes: of the protocols.
    """

    def __init__(self, serving: Serving, routes: Iterable[Route]) -> None:
        settings = serving.models.settings
        self._serving = serving
        self._find = Router(routes).find
        self._documents = make_documents(serving.models)
        self._limit = settings.max_body
        self._bodies = serving.bodies
        self._deadline_s = settings.deadline_s
        self._answers = serving.models.metrics.answers
        self._heads: dict[str, bytes] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one connection's request, or follow the server's life; what ASGI asks for."""
        kind = scope["type"]
        if kind == "http":
            if scope["path"] in PATHS:
                await self._documents(scope, receive, send)  # type: ignore[arg-type]
            else:
                await self._http(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)
        else:  # a websocket, before it is accepted: the caller sees 403
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Message, receive: Receive, send: Send) -> None:
        request = decode(scope)
        body = b""
        try:
            handler, params = self._find(request.method, request.path)
            if request.method not in {"GET", "HEAD"}:
                read = await self._bodies.read(receive, request.headers.get("content-length", ""))
                if read is None:
                    return  # the caller has gone
                body = read
            answer = await self._answer(request, handler, params, body)
        except MethodNotAllowedError as error:
            allow = ", ".join(error.allow)
            answer = Answer(204, {"allow": allow}, b"") if request.method == "OPTIONS" else _refuse(error)
        except Exception as error:  # noqa: BLE001 - the last resort of the process: nothing may escape
            answer = _refuse(error)
        finally:
            self._bodies.free(body)
        self._answers[answer.status] = self._answers.get(answer.status, 0) + 1
        with suppress(OSError):  # the caller has gone, in the words of some servers
            await send({"type": "http.response.start", "status": answer.status, "headers": self._headers(answer)})
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else answer.body})

    async def _answer(self, request: Request, handler: Handler, params: dict[str, str], body: bytes) -> Answer:
        headers = request.headers
        seconds = self._deadline_s
        if _DEADLINE in headers:
            seconds = min(seconds, _milliseconds(headers[_DEADLINE]) / 1e3)
        ENDS.set(perf_counter() + seconds)
        if len(body) > self._limit:
            raise TooLargeError(
                f"The body has {len(body)} bytes and this endpoint takes at most {self._limit}; send fewer rows, or "
                "numbers as binary data."
            )
        grown = 0
        if "content-encoding" in headers:
            plain = await off_loop(len(body) * 8, inflate, body, headers["content-encoding"], self._limit)
            grown, body = len(plain) - len(body), plain
        self._bodies.hold(grown)
        try:
            return await handler(Call(request.method, request.path, params, request.query, headers, body))
        finally:
            self._bodies.release(grown)

    def _headers(self, answer: Answer) -> list[tuple[bytes, bytes]]:
        found = [(self._encoded(name), self._encoded(text)) for name, text in answer.headers.items()]
        if answer.status != 204:
            found.append((b"content-length", b"%d" % len(answer.body)))
        if self._serving.draining:
            found.append((b"connection", b"close"))
        return found

    def _encoded(self, text: str) -> bytes:
        """A header's name or value as bytes; the usual ones are remembered."""
        known = self._heads.get(text)
        if known is None:
            known = text.encode("latin-1", "replace")
            if len(self._heads) < 256:
                self._heads[text] = known
        return known

    async def _live(self, receive: Receive, send: Send) -> None:
        watching: asyncio.Task[None] | None = None
        event = ""
        while event != "lifespan.shutdown":
            event = (await receive())["type"]
            if event == "lifespan.startup":
                watching = asyncio.create_task(self._serving.models.watch())
            await send({"type": event + ".complete"})
        if watching is not None:
            watching.cancel()


def _milliseconds(text: str) -> float:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RequestError(f"Coldpress-Deadline-Ms is {describe(text)}, expected a whole number of milliseconds.")
    return float(text)


def _refuse(error: Exception) -> Answer:
    if isinstance(error, DeadlineError):  # the caller's time, not a fault of ours: nothing for the log
        return Answer(504, {"content-type": "application/json"}, dump({"error": str(error)}))
    response = refusal(error) if isinstance(error, ColdpressError) else failure(error)
    return Answer(response.status, {name.lower(): text for name, text in response.headers.items()}, response.body)
