"""What happens while an endpoint wakes from zero, as ``waking`` of the manifest says.

``small`` and ``refuse`` are the service's: it hears of a ``WakingError`` and answers with its own model, or says 503
with ``Retry-After``. ``queue`` is done here:

- SageMaker's asynchronous endpoints have a queue. The caller gets 202 at once and a URL that has the answer later. With
  another ``waking`` the question is queued all the same, and waited for as long as its deadline allows.
- No other kind has one, and a function that waits for a queue of its own would be paid for waiting. There the question
  waits within its deadline until the endpoint says that it is ready, and gets 503 with ``Retry-After`` when the
  deadline is shorter than that.

A job's id holds when it was asked and under which name SageMaker leaves the answer: a UUID of SageMaker's, so that
nobody guesses another's, and nothing but a UUID, so that no other object can be read with it. Answers lie at
``{output}{uuid}.out`` and what became of failures at ``{output}failures/{uuid}-error.out`` (``S3OutputPath`` and
``S3FailurePath`` of the endpoint). Bodies above what SageMaker takes in one piece go to ``{output}inputs/``.

https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
"""

from __future__ import annotations

import os
import re
from time import perf_counter, sleep, time

from coldpress_runtime.errors import (
    DoorAnswerError,
    DoorBusyError,
    DoorError,
    ManifestError,
    NotFoundError,
    WakingError,
)
from coldpress_runtime.fallback.endpoints import aws_origin, region_of
from coldpress_runtime.fallback.endpoints import judge as judge_status
from coldpress_runtime.fallback.messages import Broken, Message, Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from coldpress_runtime.fallback.messages import Origin
    from coldpress_runtime.fallback.settings import Endpoint

    Judge = Callable[[Reply], Reply]

    class Send(Protocol):
        """``Tries.send``."""

        def __call__(
            self, origin: Origin, message: Message, ends: float, judge: Judge, *, guarded: bool = True
        ) -> Reply: ...


__all__ = ["OUTPUT_VARIABLE", "Jobs", "wait_until_ready"]

#: Where an asynchronous endpoint leaves its answers, when the manifest leaves it empty.
OUTPUT_VARIABLE = "COLDPRESS_FALLBACK_OUTPUT"

_INLINE_BYTES = 128_000  # what SageMaker takes with the request itself
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_JOB = re.compile(f"([0-9a-f]{{8,10}})-({_UUID})")
_LOCATION = re.compile(f"({_UUID})\\.out")
_OUTPUT = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/((?:[A-Za-z0-9!_.*'()-]+/)*)")
#: After that nothing comes any more: SageMaker queues for up to six hours, and runs for up to one.
_FORGOTTEN_S = 8 * 3600
_SOONEST_S = 0.1
_LATEST_S = 2.0
_CLOCKS_S = 900


class Jobs:
    """Questions in the queue of an asynchronous endpoint of SageMaker."""

    def __init__(self, endpoint: Endpoint, environ: Mapping[str, str], send: Send) -> None:
        output = endpoint.output or environ.get(OUTPUT_VARIABLE, "")
        found = _OUTPUT.fullmatch(output if output.endswith("/") else f"{output}/")
        if found is None:
            raise ManifestError(
                f"fallback.endpoint.output, or {OUTPUT_VARIABLE}, does not say where the endpoint leaves its answers; "
                "expected s3://bucket/prefix/."
            )
        self._bucket, self._prefix = found[1], found[2]
        self._origin, self._base = _bucket_origin(region_of(endpoint, environ), environ, self._bucket)
        self._send = send

    def submit(self, origin: Origin, message: Message, ends: float) -> str:
        """Queue a question; returns the job's id. Raises DoorError."""
        headers = {name: value for name, value in message.headers.items() if name.startswith("x-amzn")}
        headers["x-amzn-sagemaker-content-type"] = message.headers["content-type"]
        if len(message.body) > _INLINE_BYTES:
            key = f"{self._prefix}inputs/{os.urandom(16).hex()}"
            put = Message("PUT", f"{self._base}/{key}", {"content-type": message.headers["content-type"]}, message.body)
            self._send(self._origin, put, ends, _judge_store, guarded=False)
            headers["x-amzn-sagemaker-inputlocation"] = f"s3://{self._bucket}/{key}"
            message = message._replace(body=b"")
        reply = self._send(origin, message._replace(headers=headers), ends, _judge_queue)
        location = reply.headers.get("x-amzn-sagemaker-outputlocation", "")
        prefix = f"s3://{self._bucket}/{self._prefix}"
        place = _LOCATION.fullmatch(location.removeprefix(prefix)) if location.startswith(prefix) else None
        if place is None:
            raise DoorAnswerError(
                "The endpoint leaves its answers in another place than this function looks for them; set "
                "fallback.endpoint.output to its S3OutputPath."
            )
        return f"{int(time()):08x}-{place[1]}"

    def look(self, job: str, ends: float) -> Reply | None:
        """The answer to a job; None while there is none.

        Raises NotFoundError for what is no job's id, or one of long ago, and DoorError when the job failed.
        """
        found = _JOB.fullmatch(job)
        age = time() - int(found[1], 16) if found else 0.0
        if found is None or age < -_CLOCKS_S:
            raise NotFoundError("There is no job of that id; the answer that queued it says the whole URL.")
        answer = self._read(f"{found[2]}.out", ends)
        if answer is not None:
            return answer
        if self._read(f"failures/{found[2]}-error.out", ends) is not None:
            raise DoorError("The endpoint could not answer the question of this job; look at its log.")
        if age > _FORGOTTEN_S:
            raise NotFoundError("There is no answer to that job any more; send the question again.")
        return None

    def wait(self, job: str, ends: float) -> Reply:
        """The answer to a job that comes until ``ends``; raises WakingError when none does."""
        pause = _SOONEST_S
        while True:
            reply = self.look(job, ends)
            if reply is not None:
                return reply
            if perf_counter() + 2 * pause >= ends:
                raise WakingError("The endpoint has the question in its queue still, and wakes; try again.", 30)
            sleep(pause)
            pause = min(2 * pause, _LATEST_S)

    def _read(self, name: str, ends: float) -> Reply | None:
        get = Message("GET", f"{self._base}/{self._prefix}{name}", {}, b"")
        reply = self._send(self._origin, get, ends, _judge_store, guarded=False)
        return reply if reply.status == 200 else None


def _bucket_origin(region: str, environ: Mapping[str, str], bucket: str) -> tuple[Origin, str]:
    """Where a bucket is, and the path before its keys: its name, where it cannot be the host's first part."""
    origin, path = aws_origin("s3", region, environ)
    if "." in bucket or not origin.host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return origin, f"{path}/{bucket}"
    return origin._replace(host=f"{bucket}.{origin.host}"), path


def _judge_store(reply: Reply) -> Reply:
    """Take an object, or the news that there is none, from S3's replies; raises Broken."""
    if reply.status < 300 or reply.status == 404:
        return reply
    if reply.status == 403 and b"<Code>AccessDenied<" in reply.body:
        return reply._replace(status=404)  # so S3 says to those who may not list: there is none, or it is not theirs
    if reply.status in {400, 403}:
        raise Broken(DoorError("S3 refused this function; look at its permissions for the endpoint's output."),
                     again=False)  # fmt: skip
    return judge_status(reply)


def _judge_queue(reply: Reply) -> Reply:
    if reply.status in {400, 413, 415, 422}:
        raise Broken(DoorError("SageMaker did not queue the question; look at the endpoint's name and state."),
                     again=False)  # fmt: skip
    return judge_status(reply)


def wait_until_ready(
    ask: Callable[[], Reply],
    is_ready: Callable[[], bool] | None,
    woken: Callable[[], None],
    ends: float,
    first: WakingError,
) -> Reply:
    """Ask again as soon as the endpoint is ready.

    Args:
        ask: asks the question.
        is_ready: asks the endpoint whether it is; None where only the question itself can tell, which is then asked
            no sooner than the endpoint said.
        woken: called before the question is asked again.
        ends: when the answer must be there, in ``perf_counter()`` seconds.
        first: what the first try met, raised when the deadline is shorter than the wait.
    """
    pause = _SOONEST_S if is_ready is not None else float(first.retry_after)
    while perf_counter() + pause + _SOONEST_S < ends:
        sleep(pause)
        if is_ready is not None:
            pause = min(2 * pause, _LATEST_S)
            if not is_ready():
                continue
        woken()
        try:
            return ask()
        except (WakingError, DoorBusyError):
            continue
    raise first
