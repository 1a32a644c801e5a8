"""Azure Functions, Python v2 programming model: decode what a trigger brings, call the service, encode the answer.

One HTTP function takes every path (``{*path}``; the template's ``host.json`` takes away the prefix ``api``). A second
one scores what is uploaded to the blob container that ``COLDPRESS_UPLOADS`` names, told by Event Grid: a blob is one
request, or where the manifest says how, it is scored row by row. Settings:

======================== ============================================================================================
``COLDPRESS_AUTH_LEVEL`` ``FUNCTION`` (callers send a key; the default) or ``ANONYMOUS``
``COLDPRESS_UPLOADS``    the container to watch; without it there is no blob trigger
``UPLOADS__*``           how the Functions host reaches the container's account
======================== ============================================================================================

The Functions host writes blobs by output bindings, whose paths it must know before the function runs: one for scores
and one for errors, of which the function sets the one that it means.
"""
# ruff: noqa: E402 - the clock starts before the imports that it measures

from __future__ import annotations

from time import perf_counter

_start = perf_counter()

import os

from coldpress_runtime.http import Request, ends_by
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import Telemetry, log_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.http import Response

__all__ = ["make_app"]

_import_ms = (perf_counter() - _start) * 1e3


def make_app(root: str | None = None) -> Any:
    """Open the bundle, warm it up, and return the ``azure.functions.FunctionApp`` that the Python worker indexes.

    Raises what ``Service.open`` raises, so that a bundle which cannot work fails its indexing with one sentence.
    """
    import azure.functions as azure  # noqa: PLC0415 - the Python worker brings it

    service = Service.open(root)
    service.timings = {"import_ms": _import_ms, **service.timings}
    telemetry = Telemetry(service.manifest.name, service.timings, log_line)

    def answer(req: Any, context: Any) -> Any:
        start = perf_counter()
        request = decode(req)
        request.ends = ends_by(start, service.manifest.function.timeout_s)
        response = service.answer(request)
        reply = azure.HttpResponse(response.body, status_code=response.status, headers=_headers(response))
        telemetry.record(context.invocation_id, request, response, (perf_counter() - start) * 1e3)
        return reply

    app = azure.FunctionApp(http_auth_level=os.environ.get("COLDPRESS_AUTH_LEVEL", "FUNCTION"))
    app.function_name("answer")(app.route(route="{*path}")(_bare(answer)))
    container = os.environ.get("COLDPRESS_UPLOADS")
    if container and service.manifest.batch is not None:
        _score_rows(app, container, root)
    elif container:
        _score_uploads(app, azure, service, telemetry, container)
    return app


def decode(message: Any) -> Request:
    """Turn an ``azure.functions.HttpRequest`` into a request.

    Path and query come from the URL: ``params`` has lost repeated and empty keys, and ``route_params`` the escapes.
    """
    place, _, query = message.url.partition("?")
    path = place.partition("://")[2].partition("/")[2]
    return Request(message.method, "/" + path, dict(message.headers), message.get_body(), query)


def _headers(response: Response) -> dict[str, str]:
    """Return headers that the Functions host sends: ASCII alone, or it fails; an empty content type is none at all.

    Without one, the SDK would say ``text/plain``.
    """
    headers = {name: text.encode("ascii", "replace").decode() for name, text in response.headers.items()}
    return {"Content-Type": "", **headers}


def _score_uploads(app: Any, azure: Any, service: Service, telemetry: Telemetry, container: str) -> None:
    """Register the function that scores blobs; a failure raises, and the host sends the event again."""
    from coldpress_runtime.uploads import (  # noqa: PLC0415 - few functions watch a container
        Upload,
        answer_upload,
        input_prefix,
        output_prefix,
    )

    def score_upload(blob: Any, scores: Any, errors: Any, context: Any) -> None:
        start = perf_counter()
        body = blob.read()
        properties = blob.blob_properties or {}
        _, _, key = blob.name.partition("/")
        kind, version, encoding = (properties.get(name) or "" for name in ("ContentType", "ETag", "ContentEncoding"))
        upload = Upload(container, key, kind, len(body), version, encoding)

        def write(key: str, document: bytes) -> None:
            (errors if key.endswith(".error.json") else scores).set(document)

        def record(request: Request, response: Response) -> None:
            telemetry.record(context.invocation_id, request, response, (perf_counter() - start) * 1e3)

        answer_upload(service, upload, lambda: body, write, record)

    account = {"connection": "UPLOADS"}
    uploaded, scored = f"{container}/{input_prefix()}{{name}}", f"{container}/{output_prefix()}{{name}}"
    function = _bare(score_upload)
    function = app.blob_output(arg_name="errors", path=f"{scored}.error.json", **account)(function)
    function = app.blob_output(arg_name="scores", path=f"{scored}.json", **account)(function)
    function = app.blob_trigger(arg_name="blob", path=uploaded, source=azure.BlobSource.EVENT_GRID, **account)(function)
    app.function_name("score_upload")(function)


def _score_rows(app: Any, container: str, root: str | None) -> None:
    """Register the function that scores blobs row by row, told by a queue; what is left to do goes into it again."""
    from coldpress_runtime.batch.event_grid import QUEUE, make_score_upload  # noqa: PLC0415 - it ships for these alone

    score = make_score_upload(container, root)

    def score_upload(message: Any, rest: Any) -> None:
        left = score(message.get_body())
        if left is not None:
            rest.set(left)

    queue = {"queue_name": QUEUE, "connection": "UPLOADS"}
    function = app.queue_output(arg_name="rest", **queue)(_bare(score_upload))
    function = app.queue_trigger(arg_name="message", **queue)(function)
    app.function_name("score_upload")(function)


def _bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take a function's annotations away: the worker reads them, and understands none but its own types."""
    function.__annotations__ = {}
    return function
