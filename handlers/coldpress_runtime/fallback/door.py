"""The door: the one way out of a function to its endpoint.

A question goes out, and within its deadline an answer comes back that fits the model's signature, or one error that
says what became of it. Everything else is behind this: tries, retries and hedging (:mod:`~.tries`), the circuit
breaker, kept connections, checked addresses, credentials, kinds of endpoints, and endpoints that are asleep.

Nothing is loaded or connected at start. HTTP and TLS cost a start tens of milliseconds, which most functions would pay
for nothing: they are there to answer by themselves.
"""

from __future__ import annotations

import json
import os
from threading import BoundedSemaphore, Lock
from time import perf_counter
from typing import NamedTuple

from coldpress_runtime.errors import DoorAnswerError, DoorError, NotFoundError, RequestError, WakingError
from coldpress_runtime.fallback.breaker import Breaker
from coldpress_runtime.fallback.credentials import make_credentials
from coldpress_runtime.fallback.endpoints import make_asking
from coldpress_runtime.fallback.messages import Broken, Message, too_many
from coldpress_runtime.http import Response
from coldpress_runtime.json_text import dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from coldpress_runtime.fallback.messages import Origin, Reply
    from coldpress_runtime.fallback.settings import Fallback
    from coldpress_runtime.fallback.tries import Tries
    from coldpress_runtime.fallback.waking import Jobs

    Judge = Callable[[Reply], Reply]

__all__ = ["Door", "Question"]

#: What of a caller's headers goes out; no cookie, no authorization, nothing that is about the caller's connection, and
#: no say in what the answer is written in.
_PASSED = (
    "content-type", "inference-header-content-length", "x-request-id", "traceparent", "tracestate", "x-amzn-trace-id",
    "x-cloud-trace-context",
)  # fmt: skip
_LENGTH = "inference-header-content-length"
_LONGEST = 512  # characters of a header: with a word of ours, fewer than SageMaker takes
_LOOK_S = 5.0  # for a look at a job
_QUEUED_S = 10  # when to look at a queued job for the first time


class Question(NamedTuple):
    """What the endpoint is asked.

    Attributes:
        path: ``/v2/models/{name}/infer`` or ``/predict``.
        headers: the request's, names in lower case; only those that concern the question are sent.
        body: decompressed.
    """

    path: str
    headers: dict[str, str]
    body: bytes


class Door:
    """The way to one endpoint. Threads may share it.

    Args:
        settings: ``fallback`` of the manifest.
        environ: where secrets and addresses come from.

    Raises ManifestError for what cannot be right; nothing is connected.
    """

    def __init__(self, settings: Fallback, environ: Mapping[str, str] = os.environ) -> None:
        endpoint = settings.endpoint
        self._settings = settings
        self._ca_file = environ.get("SSL_CERT_FILE", "")
        self._breaker = Breaker(settings.breaker.failures, settings.breaker.window_s, settings.breaker.open_s)
        self._asking = make_asking(endpoint, environ)
        origin = self._asking.origin
        self._credentials = make_credentials(endpoint, environ, f"{origin.scheme}://{origin.host}")
        self._lock = Lock()
        self._slots = BoundedSemaphore(settings.concurrency)  # those that wait hold a thread too
        self._opened: Tries | None = None
        self._jobs: Jobs | None = None
        if endpoint.kind == "sagemaker-async":
            from coldpress_runtime.fallback.waking import Jobs  # noqa: PLC0415 - one kind has a queue

            self._jobs = Jobs(endpoint, environ, self._send)

    def ask(self, question: Question, ends: float) -> Response:
        """Ask the endpoint.

        Args:
            question: what.
            ends: when the answer must be there, in ``perf_counter()`` seconds; ``deadline_s`` bounds it too.

        Returns:
            The endpoint's answer, its refusal of the caller's inputs (a 4xx), or 202 when it was queued.

        Raises DoorError.
        """
        if not self._slots.acquire(blocking=False):
            raise too_many(self._settings.concurrency)
        try:
            return self._ask(question, ends)
        finally:
            self._slots.release()

    def status(self, job: str) -> Response:
        """What became of a queued question: 200 with the answer, or 202 while there is none.

        Raises NotFoundError for an unknown job, and DoorError when it failed.
        """
        if self._jobs is None:
            raise NotFoundError("There are no jobs here: this endpoint answers at once, or not at all.")
        reply = self._jobs.look(job, perf_counter() + min(_LOOK_S, self._settings.deadline_s))
        return _queued(job) if reply is None else self._found(reply, None)

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._opened is not None:
            self._opened.close()

    def _ask(self, question: Question, ends: float) -> Response:
        settings, asking = self._settings, self._asking
        ends = min(ends, perf_counter() + settings.deadline_s)
        headers = {name: question.headers[name] for name in _PASSED if _passes(question.headers.get(name))}
        if not headers.get("content-type", "").endswith("+json"):  # by any name, a function takes these two alone
            headers["content-type"] = "application/octet-stream" if _LENGTH in headers else "application/json"
        question = question._replace(headers=headers)
        message = asking.message(question)
        if self._jobs is not None:
            job = self._jobs.submit(asking.origin, message, ends)
            return _queued(job) if settings.waking == "queue" else self._found(self._jobs.wait(job, ends), question)

        def judge(reply: Reply) -> Reply:
            reply = asking.judge(reply)
            try:
                self._check(reply, question)
            except DoorAnswerError as error:
                raise Broken(error, again=False) from None
            return reply

        try:
            return _response(self._send(asking.origin, message, ends, judge))
        except WakingError as error:
            if settings.waking != "queue":
                raise
            return _response(self._waited(message, ends, judge, error))

    def _send(self, origin: Origin, message: Message, ends: float, judge: Judge, *, guarded: bool = True) -> Reply:
        """Send a message until it is answered; HTTP is loaded with the first one. Raises DoorError."""
        if self._opened is None:
            from coldpress_runtime.fallback.tries import Tries  # noqa: PLC0415 - with the first question

            with self._lock:
                if self._opened is None:
                    self._opened = Tries(self._settings, self._breaker, self._credentials, self._ca_file)
        return self._opened.send(origin, message, ends, judge, guarded=guarded)

    def _check(self, reply: Reply, question: Question | None) -> None:
        """Compare an answer with the signature and the question; raises DoorAnswerError."""
        from coldpress_runtime.fallback.answers import Asked, asked, check  # noqa: PLC0415 - with the first question

        if reply.status < 300:
            match = Asked() if question is None else asked(*question, self._settings.inputs)
            check(reply.body, reply.headers, self._settings.outputs, match)

    def _found(self, reply: Reply, question: Question | None) -> Response:
        """The answer to a job, from a store that keeps no headers of ours."""
        from coldpress_runtime.fallback.answers import json_length  # noqa: PLC0415 - with the first answer

        length = json_length(reply.body)
        headers = {"content-type": "application/json"}
        if length is not None:
            headers = {"content-type": "application/octet-stream", _LENGTH: str(length)}
        reply = reply._replace(headers=headers)
        self._check(reply, question)
        return _response(reply)

    def _waited(self, message: Message, ends: float, judge: Judge, first: WakingError) -> Reply:
        from coldpress_runtime.fallback.waking import wait_until_ready  # noqa: PLC0415 - rare

        asking = self._asking

        def ask() -> Reply:
            return self._send(asking.origin, message, ends, judge)

        def is_ready() -> bool:
            probe = Message("GET", asking.ready or "", {}, b"")
            try:
                return self._send(asking.origin, probe, ends, asking.judge, guarded=False).status == 200
            except DoorError:
                return False

        told = None if asking.ready is None else is_ready  # else the question itself has to find out
        return wait_until_ready(ask, told, self._breaker.close, ends, first)


def _passes(value: str | None) -> bool:
    """Whether a value may stand in a header; one that servers refuse as too long would count against the endpoint."""
    return value is not None and len(value) <= _LONGEST and value.isascii() and value.isprintable()


def _queued(job: str) -> Response:
    headers = {"Content-Type": "application/json", "Location": f"/v2/jobs/{job}", "Retry-After": str(_QUEUED_S)}
    return Response(202, headers, dump({"status": "queued", "id": job}))


def _response(reply: Reply) -> Response:
    kind, length = reply.headers.get("content-type"), reply.headers.get(_LENGTH)
    headers = {"Content-Type": "application/json"}
    if kind is not None and _passes(kind):
        headers["Content-Type"] = kind
    if length is not None and _passes(length):
        headers["Inference-Header-Content-Length"] = length
    if reply.status < 300:
        return Response(200, headers, reply.body)
    body = _in_our_form(reply.body)
    if body is not reply.body:
        headers = {"Content-Type": "application/json"}
    return Response(reply.status, headers, body, RequestError(f"The endpoint refused the request with {reply.status}."))


def _in_our_form(body: bytes) -> bytes:
    """A refusal as this function words its own, ``{"error": "..."}``, whatever protocol the endpoint's is."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    said: Any = document
    for key in ("error", "message", "detail"):
        if isinstance(said, dict):
            said = said.get(key, said)
    ours = isinstance(document, dict) and document.get("error") is said
    return body if ours or not isinstance(said, str) else dump({"error": said})
