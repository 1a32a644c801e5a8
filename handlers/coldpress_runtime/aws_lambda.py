"""AWS Lambda: decode an event, call the service, encode the reply.

Understood are API Gateway HTTP APIs (payload 2.0) and REST APIs (1.0), Function URLs, Application Load Balancers
(single and multi-value headers), and direct invocation: an event that is itself a body for ``/predict`` or, when its
``inputs`` is a list, for ``infer``; or ``{"path": ..., "method": ..., "headers": ..., "body": ...}``. A direct caller
gets the JSON document itself back, and an error as a Lambda error whose type is the class in
:mod:`coldpress_runtime.errors`. Scheduled events, ``{"coldpress": "ping"}`` and the events of the usual warmers only
keep the function warm.
"""
# ruff: noqa: E402 - the clock starts before the imports that it measures

from __future__ import annotations

from time import perf_counter

_start = perf_counter()

import os
from json.encoder import encode_basestring, encode_basestring_ascii

from coldpress_runtime.aws_events import decode, encode, kind_of, reply_limit
from coldpress_runtime.errors import RequestError, TooLargeError
from coldpress_runtime.events import bare
from coldpress_runtime.http import Request, Response, ends_by
from coldpress_runtime.refusals import refusal
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import Telemetry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["make_handler"]

_import_ms = (perf_counter() - _start) * 1e3


def make_handler(root: str | None = None) -> Callable[[Any, Any], Any]:
    """Open the bundle, warm it up, and return Lambda's ``handler(event, context)``.

    Raises what ``Service.open`` raises, so that a bundle which cannot work fails its init phase with one sentence.
    """
    service = Service.open(root)
    model = service.manifest.name
    service.timings = {"import_ms": _import_ms, **service.timings}
    telemetry = Telemetry(model, service.timings)
    limit_s = service.manifest.function.timeout_s
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _register_snapshot_hooks(service, telemetry)

    def handler(event: Any, context: Any) -> Any:
        start = perf_counter()
        kind = kind_of(event)
        request = Request("PING", "/")
        if kind == "ping":
            response = Response(200, {"Content-Type": "application/json"}, b'{"warm":true}')
        else:
            try:
                request = decode(kind, event, model)
                left = getattr(context, "get_remaining_time_in_millis", None)
                request.ends = ends_by(start, left() / 1e3 if left is not None else limit_s)
                response = service.answer(request)
            except RequestError as error:
                response = refusal(error)
        reply = encode(kind, event, response)
        limit = reply_limit(kind)
        if len(response.body) > limit // 6 and _encoded_size(reply) > limit:
            response = refusal(TooLargeError(f"The answer is over the {limit} bytes that AWS takes; send fewer rows."))
            reply = encode(kind, event, response)
        request_id = getattr(context, "aws_request_id", None) or ""
        telemetry.record(request_id, request, response, (perf_counter() - start) * 1e3)
        if kind == "direct" and response.error is not None:
            raise bare(response.error)
        return reply

    return handler


def _encoded_size(reply: Any) -> int:
    """Bytes of the reply's body once Lambda's runtime client has written it as a JSON string.

    The client escapes what is not ASCII before Python 3.12 and not since; which of the two ran is not known here, so
    the larger counts.
    """
    if type(reply) is not dict or type(reply.get("body")) is not str:
        return 0  # a document of a direct call is about as long as the body that it was parsed from
    text = reply["body"]
    return max(len(encode_basestring_ascii(text)), len(encode_basestring(text)))


def _register_snapshot_hooks(service: Service, telemetry: Telemetry) -> None:
    """Lambda SnapStart: what to do before the process is frozen into a snapshot, and after it wakes from it.

    Before: run the model again, so that the snapshot holds every page and code path that an answer touches. After:
    the next invocation is a cold start again. Nothing else goes stale: the service keeps no connection, no clock and
    no random state (ids of errors come from the system when they are needed).
    """
    from snapshot_restore_py import register_after_restore, register_before_snapshot  # noqa: PLC0415 - only there

    register_before_snapshot(service.warm_up)
    register_after_restore(telemetry.restored)
