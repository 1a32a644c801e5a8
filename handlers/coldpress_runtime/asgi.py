"""Containers: an ASGI 3 application with no framework in it; read a request, call the service, send the response.

uvicorn starts it (``server:app`` in the bundle), FastAPI and Starlette mount it (``api.mount("/digits", make_app())``),
and Mangum takes it to Lambda. Settings:

========================= ===========================================================================================
``COLDPRESS_CONCURRENCY`` requests at a time (80); one more is told 429
``COLDPRESS_LOG_ANSWERS`` a line of log for every answer; without it the first one and those that say what went wrong
                          leave one, as whatever stands in front of a container counts the rest
========================= ===========================================================================================

Bodies that are there at a time take a quarter of the memory at most, or one of them all that one may; a body that finds
no room is told 429, and one that is not there within a minute 408.
"""
# ruff: noqa: E402 - the clock starts before the imports that it measures

from __future__ import annotations

from time import perf_counter

_start = perf_counter()

import os

from coldpress_runtime.asgi_messages import Bodies, decode, encode_headers
from coldpress_runtime.errors import BusyError, ColdpressError, RequestError
from coldpress_runtime.http import ends_by
from coldpress_runtime.offload import Offload
from coldpress_runtime.refusals import refusal
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import Telemetry, log_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

__all__ = ["make_app"]

_import_ms = (perf_counter() - _start) * 1e3


def make_app(root: str | None = None) -> Callable[[Message, Receive, Send], Awaitable[None]]:
    """Open the bundle, warm it up, and return the ASGI application.

    Raises what ``Service.open`` raises, so that a container which cannot work ends before its port opens.
    """
    concurrency = os.environ.get("COLDPRESS_CONCURRENCY", "80")
    if not (concurrency.isdecimal() and int(concurrency)):
        raise ColdpressError(f"COLDPRESS_CONCURRENCY is {concurrency!r}; expected a whole number above 0.")
    service = Service.open(root)
    service.timings = {"import_ms": _import_ms, **service.timings}
    answer = _Answer(service, int(concurrency))

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "http":
            await answer(scope, receive, send)
        elif kind == "lifespan":
            await _live(receive, send)
        elif kind == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})  # before it is accepted: the caller sees 403
        else:
            raise ValueError(f"The ASGI scope is of type {kind!r}; expected http or lifespan.")

    return app


async def _live(receive: Receive, send: Send) -> None:
    """Follow the server's life; nothing is left to open, and nothing closed: under Mangum each request is a life."""
    event = ""
    while event != "lifespan.shutdown":
        event = (await receive())["type"]
        await send({"type": event + ".complete"})


class _Answer:
    """Answers HTTP requests, so many at a time."""

    def __init__(self, service: Service, concurrency: int) -> None:
        self._service = service
        self._offload = Offload(service)
        self._telemetry = Telemetry(service.manifest.name, service.timings, log_line)
        limit = service.manifest.limits.request_bytes
        self._bodies = Bodies(limit, max(limit, service.manifest.function.memory_mb << 18))
        self._concurrency = concurrency
        self._busy = 0
        self._limit_s = service.manifest.function.timeout_s
        service.background = True
        self._talks = bool(os.environ.get("COLDPRESS_LOG_ANSWERS"))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        start = perf_counter()
        request = decode(scope)
        request.ends = ends_by(start, self._limit_s)
        if request.method in {"GET", "HEAD"} and not request.path.startswith("/v2/jobs/"):
            # No such route reads a body, runs the model, or waits for an endpoint.
            response = self._service.answer(request)
        elif self._busy >= self._concurrency:
            message = f"This function answers {self._concurrency} requests at a time; try again in a second."
            response = refusal(BusyError(message))
        else:
            self._busy += 1
            body: bytes | None = b""
            try:
                body = await self._bodies.read(receive, request.headers.get("content-length", ""))
                if body is None:
                    return  # the caller has gone
                request.body = body
                response = await self._offload.answer(request)
            except RequestError as error:
                response = refusal(error)
            finally:
                self._busy -= 1
                self._bodies.free(body or b"")
        try:
            await send(
                {"type": "http.response.start", "status": response.status, "headers": encode_headers(request, response)}
            )
            await send({"type": "http.response.body", "body": response.body})
        except OSError:  # the caller has gone, in the words of some servers
            pass
        probe = request.path.startswith("/v2/health/")
        told = response.marks is not None and response.marks.rule is not None
        if response.status >= 400 or told or self._talks or (self._telemetry.cold and not probe):
            identity = request.headers.get("x-request-id", "")[:128]
            self._telemetry.record(identity, request, response, (perf_counter() - start) * 1e3)
