"""Alibaba Cloud Function Compute 3.0, built-in Python runtime: decode an event, call the service, encode the reply.

The runtime hands every event over as bytes. Understood are HTTP triggers (version ``v1``), OSS triggers (each created
object is scored), and direct invocation: a body for ``/predict`` or, when its ``inputs`` is a list, for ``infer``; or
``{"path": ..., "method": ..., "headers": ..., "body": ...}``. A direct caller gets the JSON document itself back, and
an error as a function error whose type is the class in :mod:`coldpress_runtime.errors`. Timer events and
``{"coldpress": "ping"}`` only keep the function warm.
"""
# ruff: noqa: E402 - the clock starts before the imports that it measures

from __future__ import annotations

from time import perf_counter

_start = perf_counter()

from functools import partial

from coldpress_runtime.errors import RequestError
from coldpress_runtime.events import (
    bare,
    body_of,
    direct,
    document_of,
    headers_of,
    is_ping,
    quote,
    reply_of,
    without_base_path,
)
from coldpress_runtime.http import Request, Response, ends_by
from coldpress_runtime.json_text import parse
from coldpress_runtime.refusals import refusal
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import Telemetry, log_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Event = dict[str, Any]

__all__ = ["decode", "kind_of", "make_handler"]

_JSON = {"Content-Type": "application/json"}
_TIMER = {"triggerTime", "triggerName", "payload"}
_FC_DOMAIN = ".fcapp.run"
_import_ms = (perf_counter() - _start) * 1e3


def make_handler(root: str | None = None) -> Callable[[bytes, Any], Any]:
    """Open the bundle, warm it up, and return Function Compute's ``handler(event, context)``.

    Raises what ``Service.open`` raises, so that a bundle which cannot work fails its start with one sentence.
    """
    service = Service.open(root)
    model = service.manifest.name
    service.timings = {"import_ms": _import_ms, **service.timings}
    telemetry = Telemetry(model, service.timings, log_line)

    def handler(event: bytes, context: Any) -> Any:
        start = perf_counter()

        def record(request: Request, response: Response) -> None:
            identity = getattr(context, "request_id", None) or ""
            telemetry.record(identity, request, response, (perf_counter() - start) * 1e3)

        request, kind = Request("PING", "/"), "direct"
        try:
            document = parse(event)
            kind = kind_of(document)
            if kind == "uploads":
                return _score(service, document, record)
            if kind == "ping":
                response = Response(200, dict(_JSON), b'{"warm":true}')
            else:
                request = decode(kind, document, model)
                configured = getattr(getattr(context, "function", None), "timeout", None)
                request.ends = ends_by(start, configured or service.manifest.function.timeout_s)
                response = service.answer(request)
        except RequestError as error:
            response = refusal(error)
        reply = reply_of(response) if kind == "http" else document_of(response)
        record(request, response)
        if kind != "http" and response.error is not None:
            raise bare(response.error)
        return reply

    return handler


def kind_of(event: Any) -> str:
    """Which of ``http``, ``uploads`` (from an OSS trigger), ``ping`` and ``direct`` an event is."""
    if type(event) is not dict:
        return "direct"
    if "rawPath" in event and "requestContext" in event:
        return "http"
    records = event.get("events")
    if type(records) is list and records and all(type(record) is dict and "oss" in record for record in records):
        return "uploads"
    return "ping" if event.keys() == _TIMER or is_ping(event) else "direct"


def decode(kind: str, event: Any, model: str) -> Request:
    """Turn an event into a request; raises RequestError when the event is not what it seems to be."""
    try:
        request = _http(event) if kind == "http" else direct(event, model)
        texts = (request.method, request.path, request.query, *request.headers.values())
        sound = all(type(text) is str for text in texts)
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        sound = False
    if not sound:
        raise RequestError(f"The event is no {kind} event that Function Compute would send; is a field missing?")
    return request


def _http(event: Event) -> Request:
    context = event["requestContext"]
    path = event["rawPath"]
    if not context.get("domainName", "").endswith(_FC_DOMAIN):
        path = without_base_path(path)
    # Several values of one name come joined by commas, and nothing says whether a comma was in one of them.
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in (event.get("queryParameters") or {}).items())
    return Request(context["http"]["method"], path, headers_of(event), body_of(event), query)


def _score(service: Service, event: Event, record: Callable[[Request, Response], None]) -> dict[str, Any]:
    """Score every object that the event says was made; a failure raises, and Function Compute sends the event again."""
    from coldpress_runtime import oss  # noqa: PLC0415 - few functions watch a bucket
    from coldpress_runtime.uploads import answer_upload  # noqa: PLC0415 - likewise

    written = []
    for region, upload in oss.uploads(event):
        store = oss.Bucket(region, upload.bucket)
        written.append(answer_upload(service, upload, partial(store.read, upload), store.put, record))
    return {"written": written}
