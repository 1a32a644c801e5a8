"""Google Cloud: Cloud Run functions, as the functions-framework hands requests and events over.

``predict`` takes HTTP requests; ``score_upload`` takes the CloudEvents that Eventarc sends when an object of a bucket
is finished: an object is one request, or where the manifest says how, it is scored row by row. Both are in every
bundle, and a service runs the one that it is deployed with.

The framework's server imports ``main.py`` and forks afterwards; the child answers. Threads do not survive a fork, and
an engine may have some, so the bundle is opened in the child: before it takes the first request.
"""
# ruff: noqa: E402 - the clock starts before the imports that it measures

from __future__ import annotations

from time import perf_counter

_start = perf_counter()

import os
import sys
from _thread import allocate_lock  # threading itself would cost

from coldpress_runtime.http import Request, ends_by
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import Telemetry, log_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.http import Response
    from coldpress_runtime.uploads import Upload

__all__ = ["decode", "make_functions", "upload_of"]

_FINALIZED = "google.cloud.storage.object.v1.finalized"
_FAILED_TO_BOOT = 3  # the exit status by which gunicorn knows that another try would fail as well

_import_ms = (perf_counter() - _start) * 1e3


def make_functions(root: str | None = None) -> tuple[Callable[[Any], Any], Callable[[Any], None]]:
    """Return ``predict`` and ``score_upload``; whichever process answers opens the bundle at ``root`` for them."""
    import flask  # noqa: PLC0415 - the framework brings it
    import functions_framework  # noqa: PLC0415 - likewise

    bundle = _Bundle(root)
    os.register_at_fork(after_in_child=bundle.start)

    def predict(message: Any) -> Any:
        start = perf_counter()
        service, telemetry = bundle.open()
        request = decode(message)
        request.ends = ends_by(start, service.manifest.function.timeout_s)
        response = service.answer(request)
        reply = flask.Response(response.body, response.status, response.headers)
        if "Content-Type" not in response.headers:
            del reply.headers["Content-Type"]  # the framework's guess
        telemetry.record(_request_id(message.headers), request, response, (perf_counter() - start) * 1e3)
        return reply

    def score_upload(event: Any) -> None:
        start = perf_counter()
        upload = upload_of(event)
        if upload is None:
            sys.stderr.write("coldpress: an event is passed over: it tells of no finished object in a bucket.\n")
            sys.stderr.flush()
            return  # an error would have it sent again and again
        if rows := bundle.rows():
            rows(upload)
            return
        from coldpress_runtime import gcs  # noqa: PLC0415 - few functions watch a bucket
        from coldpress_runtime.uploads import answer_upload  # noqa: PLC0415 - likewise

        service, telemetry = bundle.open()
        bucket, generation = upload.bucket, upload.version

        def record(request: Request, response: Response) -> None:
            telemetry.record(str(event["id"]), request, response, (perf_counter() - start) * 1e3)

        answer_upload(
            service,
            upload,
            lambda: gcs.get(bucket, upload.key, generation),
            lambda key, body: gcs.put(bucket, key, body, generation),
            record,
        )

    return functions_framework.http(predict), functions_framework.cloud_event(score_upload)


class _Bundle:
    """The service of this process, opened once."""

    def __init__(self, root: str | None) -> None:
        self._root = root
        self._lock = allocate_lock()
        self._opened: tuple[Service, Telemetry] | None = None
        self._rows: Callable[[Upload], None] | None = None

    def open(self) -> tuple[Service, Telemetry]:
        """Return the service, and what writes its log; raises what ``Service.open`` raises."""
        with self._lock:
            if self._opened is None:
                service = Service.open(self._root)
                service.timings = {"import_ms": _import_ms, **service.timings}
                self._opened = service, Telemetry(service.manifest.name, service.timings, _log)
            return self._opened

    def rows(self) -> Callable[[Upload], None] | None:
        """Return what scores uploads row by row, in processes of its own; None where an upload is one request."""
        root = self._root or os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with self._lock:
            if self._rows is None and Manifest.load(os.path.join(root, "coldpress.json")).batch is not None:
                from coldpress_runtime.batch.eventarc import make_score_upload  # noqa: PLC0415 - it ships for these

                self._rows = make_score_upload(self._root)
            return self._rows

    def start(self) -> None:
        """Open the service in a process just forked, or end it: a server that cannot work must not start."""
        if self._lock.locked():
            return  # hooks fork while they are imported: what they start is no server, and would wait for ever
        try:
            if os.environ.get("FUNCTION_TARGET") != "score_upload" or not self.rows():
                self.open()
        except Exception as error:  # noqa: BLE001 - an error that left this function would be ignored
            import traceback  # noqa: PLC0415 - rare

            traceback.print_exception(error)
            sys.stderr.flush()
            os._exit(_FAILED_TO_BOOT)


def decode(message: Any) -> Request:
    """Turn the framework's ``flask.Request`` into a request; path and query as they were sent, if the server tells."""
    sent = message.environ.get("RAW_URI") or message.environ.get("REQUEST_URI") or message.full_path
    path, _, query = sent.partition("?")
    if not path.startswith("/"):  # a proxy's form: a whole URL
        path = "/" + path.partition("://")[2].partition("/")[2]
    headers = {name.lower(): value for name, value in message.headers.items()}
    return Request(message.method, path, headers, message.get_data(), query)


def upload_of(event: Any) -> Upload | None:
    """Turn a CloudEvent into an upload; None when it is none that tells of a finished object."""
    from coldpress_runtime.uploads import Upload  # noqa: PLC0415 - few functions watch a bucket

    if event["type"] != _FINALIZED or type(event.data) is not dict:
        return None
    bucket, key, generation, size = (str(event.data.get(name, "")) for name in ("bucket", "name", "generation", "size"))
    if not (bucket and key and generation.isdecimal() and size.isdecimal()):
        return None
    content_type, encoding = (str(event.data.get(name) or "") for name in ("contentType", "contentEncoding"))
    return Upload(bucket, key, content_type, int(size), generation, encoding)


def _request_id(headers: Any) -> str:
    """The trace by which Cloud Logging finds what belongs to a request; else the framework's own id."""
    trace: str = headers.get("X-Cloud-Trace-Context", "").partition("/")[0]
    return trace or str(headers.get("Function-Execution-Id", ""))


def _log(text: str) -> None:
    """Write the log line with the name that Cloud Logging gives a level."""
    log_line(text.replace('{"level"', '{"severity"', 1))
