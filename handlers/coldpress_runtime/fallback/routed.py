"""A service with an endpoint beside its own model: it asks the door and falls back, by policy.

====================== ===============================================================================================
a rule sends it out    the endpoint's answer, body and all, is the caller's; when it fails, the function's own model
                       answers, as long as there is time for it
``confidence``         the doubtful rows alone go, and come back into their places; where an output has no row for each
                       of the request's, the whole request goes; when the endpoint fails, the answer stays as it was
``error``              the whole request goes once the model has failed; when the endpoint fails too, it is the model's
                       failure that the caller hears of
====================== ===============================================================================================

Hooks run here, on either side of whichever model answers: then the endpoint is asked with tensors.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quote
from threading import BoundedSemaphore, Thread
from time import perf_counter

from coldpress_runtime.errors import (
    ColdpressError,
    DoorError,
    ManifestError,
    NotFoundError,
    WakingError,
)
from coldpress_runtime.fallback.call import Call
from coldpress_runtime.fallback.door import Door, Question
from coldpress_runtime.fallback.doubt import can_be_split, count_rows, doubtful, pick, probabilities_in, put_back
from coldpress_runtime.fallback.marks import Marks, failure_name
from coldpress_runtime.fallback.policy import Policy
from coldpress_runtime.fallback.question import body_of, headers_of, read_answer, write_question
from coldpress_runtime.fallback.shadow import differ
from coldpress_runtime.http import Response, ends_by
from coldpress_runtime.json_text import describe
from coldpress_runtime.record import REMEDY
from coldpress_runtime.refusals import failure, refusal
from coldpress_runtime.service import Service
from coldpress_runtime.telemetry import log_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.hooks import Hooks
    from coldpress_runtime.http import Request, Timings
    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.ort import Session
    from coldpress_runtime.service import Handler

__all__ = ["RoutedService", "mark"]

_JOBS = "/v2/jobs/"


class _WouldWait(BaseException):
    """The endpoint would have to be asked, and there is no time for that where the request is answered."""


class RoutedService(Service):
    """A loaded function with an endpoint beside it.

    Attributes:
        door: the only thing that talks to the endpoint.
        policy: what goes there.
    """

    def __init__(self, root: str, manifest: Manifest, session: Session, hooks: Hooks | None, *, portable: bool) -> None:
        super().__init__(root, manifest, session, hooks, portable=portable)
        settings = manifest.fallback
        assert settings is not None  # noqa: S101 - or another class would have been chosen
        self._settings = settings
        self.door = Door(settings)
        self.policy = Policy(settings.rules, self._inputs)
        # Then the endpoint answers later, and what is asked for must be all that the caller wants to know.
        self._queues = settings.waking == "queue" and settings.endpoint.kind == "sagemaker-async"
        self._shadows = BoundedSemaphore(max(1, settings.concurrency // 2))
        self._probabilities = settings.output or next(iter(probabilities_in(session.outputs)), "")
        if "confidence" in self.policy.rules and self._probabilities not in probabilities_in(session.outputs):
            raise ManifestError(
                f"fallback.output: expected an output of the model with a probability for each row and class, found "
                f"{self._probabilities!r}; {REMEDY}"
            )

    def close(self) -> None:
        """Free the session, and close the connections to the endpoint."""
        super().close()
        self.door.close()

    def answer_at_once(self, request: Request) -> Response | None:
        """Answer a request by the own model; None when the endpoint is to be asked."""
        request.at_once = True
        try:
            return self.answer(request)
        except _WouldWait:
            return None
        finally:
            request.at_once = False

    def warm_up(self) -> None:
        """Run the model on the manifest's warm-up inputs, which is the first that tells how long a row takes."""
        start = perf_counter()
        super().warm_up()
        rows = max((item.shape[0] for item in self.manifest.warmup.inputs if item.shape), default=1)
        if self.manifest.warmup.inputs:
            self.policy.took(rows, (perf_counter() - start) * 1e3)

    def _run(
        self,
        request: Request,
        path: str,
        inputs: dict[str, Any],
        outputs: list[str] | None,
        encode: Callable[[dict[str, Any]], Response],
        timings: Timings,
    ) -> Response:
        if request.ends is None:
            request.ends = ends_by(perf_counter(), self.manifest.function.timeout_s)
        return self._route(Call(request, path, inputs, outputs, encode, timings, request.ends))

    def _route(self, call: Call) -> Response:
        """Have a request answered by whom the policy says."""
        marks = Marks(self.policy.before(call.request, call.inputs, call.ends))
        marks.at_once = call.request.at_once
        response = self._sent(call, marks) if marks.rule is not None else None
        if response is None:
            response = self._own(call, marks)
        return mark(response, marks)

    # The whole request.

    def _sent(self, call: Call, marks: Marks) -> Response | None:
        """What the endpoint answers to a request that a rule sends out; None when the own model is to answer."""
        spare = self.policy.spare(call.inputs, call.ends) if marks.rule != "error" else 0.0
        try:
            return self._asked(call, marks, call.ends - spare)
        except DoorError as error:
            marks.failed = failure_name(error)
            refused = isinstance(error, WakingError) and self._settings.waking != "small" and marks.rule != "canary"
            if refused or (marks.rule != "error" and not self.policy.fits(call.inputs, call.ends)):
                return refusal(error)
            return None

    def _asked(self, call: Call, marks: Marks, ends: float) -> Response:
        """Ask for the whole request, with tensors where hooks stand before or behind the model; raises DoorError."""
        if self.hooks is None or call.path != "/predict":
            question = Question(call.path, headers_of(call.request), body_of(call.request))
            response = self._ask(question, marks, ends)
        else:
            response = self._ask(self._question(call, call.inputs, None), marks, ends)
            response = self._hooked(response, call.encode)
        marks.endpoint = True
        return response

    def _hooked(self, response: Response, encode: Callable[[dict[str, Any]], Response]) -> Response:
        """Have the endpoint's answer go through the hook behind the model; a job's, once it is there."""
        if response.status == 200:
            return encode(read_answer(response, self._outputs))
        if "Location" in response.headers:
            response.headers["Location"] += "/predict"
        return response

    def _question(self, call: Call, inputs: dict[str, Any], outputs: list[str] | None) -> Question:
        headers, body = write_question(inputs, outputs)
        return Question(self._infer_path, call.request.headers | headers, body)

    def _ask(self, question: Question, marks: Marks, ends: float) -> Response:
        if marks.at_once:
            raise _WouldWait
        start = perf_counter()
        try:
            return self.door.ask(question, ends)
        finally:
            marks.door_ms += (perf_counter() - start) * 1e3

    # The function's own model, and the endpoint after it.

    def _own(self, call: Call, marks: Marks) -> Response:
        try:
            values = self._values(call)
        except Exception as problem:
            if marks.rule is None:
                if "error" not in self.policy.rules:
                    raise
                marks.rule = "error"
                response = self._sent(call, marks)
                if response is not None:
                    return response
            return refusal(problem) if isinstance(problem, ColdpressError) else failure(problem)
        if marks.rule is None and "confidence" in self.policy.rules:
            again = self._doubted(call, values, marks)
            if again is not None:
                return again
        ran = perf_counter()
        outputs = values if call.outputs is None else call.outputs
        asked = {name: values[name] for name in outputs}
        response = call.encode(asked)
        call.timings.encode_ms = (perf_counter() - ran) * 1e3
        if marks.rule is None and self.policy.shadows(call.request):
            self._shadow(call, values, marks)
        return response

    def _values(self, call: Call) -> dict[str, Any]:
        """Run the own model; what it is sure of is computed even where nobody asks for it."""
        outputs = call.outputs
        if outputs is not None and "confidence" in self.policy.rules and self._probabilities not in outputs:
            outputs = [*outputs, self._probabilities]
        start = perf_counter()
        values = self.session.run(call.inputs, outputs)
        call.timings.run_ms = (perf_counter() - start) * 1e3
        self.policy.took(self.policy.rows(call.inputs), call.timings.run_ms)
        return values

    def _doubted(self, call: Call, values: dict[str, Any], marks: Marks) -> Response | None:
        """Have the endpoint decide the doubtful rows of ``values``, in place; a response where it answers the whole."""
        rows = doubtful(values[self._probabilities], self.policy.rules["confidence"])
        if not rows:
            return None
        marks.rule = "confidence"
        try:
            count = count_rows(call.inputs, self._inputs)
            if count is None or self._queues or len(rows) == count or not can_be_split(values, self._outputs, count):
                response = self._asked(call, marks, call.ends)
                if response.status < 400:
                    return response
                marks.endpoint, marks.failed = False, "refused"  # an answer is there that says more
            else:
                self._decide(call, values, rows, marks)
        except DoorError as error:
            marks.failed = failure_name(error)
            if isinstance(error, WakingError) and self._settings.waking != "small":
                return refusal(error)
        return None

    def _decide(self, call: Call, values: dict[str, Any], rows: list[int], marks: Marks) -> None:
        """Ask for some rows, and put what the endpoint says of them into ``values``; raises DoorError."""
        marks.rows = len(rows)
        question = self._question(call, pick(call.inputs, self._inputs, rows), list(values))
        answer = self._ask(question, marks, call.ends)
        if answer.status != 200:
            marks.failed = "refused"
            return
        theirs = read_answer(answer, {name: self._outputs[name] for name in values})
        values.update(put_back(values, rows, theirs))
        marks.endpoint = True

    # The endpoint beside the function's own model.

    def _shadow(self, call: Call, values: dict[str, Any], marks: Marks) -> None:
        """Ask the endpoint as well and note whether it says the same: on a thread where the process lives on."""
        if not self.background:
            self._compare(call, values, marks, call.ends)
        elif self._shadows.acquire(blocking=False):  # or one shadow fewer: requests need the door more than they do

            def compare() -> None:
                told = Marks()
                try:
                    self._compare(call, values, told, perf_counter() + self._settings.deadline_s)
                finally:
                    self._shadows.release()
                log_line(f'{{"level":"INFO","message":"shadowed","model":{quote(self.manifest.name)}{told.log()}}}')

            Thread(target=compare, name="shadow", daemon=True).start()

    def _compare(self, call: Call, values: dict[str, Any], marks: Marks, ends: float) -> None:
        try:
            answer = self._ask(self._question(call, call.inputs, list(values)), marks, ends)
            if answer.status == 200:
                theirs = read_answer(answer, {name: self._outputs[name] for name in values})
                marks.different = differ(values, theirs, self._probabilities)
            else:
                marks.failed = "refused"
        except DoorError as error:
            marks.failed = failure_name(error)
        except Exception as problem:  # noqa: BLE001 - nobody's answer may suffer from a comparison
            failure(problem)
            marks.failed = "compare"

    # What was queued while the endpoint woke.

    def _find(self, path: str) -> dict[str, Handler]:
        if path.startswith(_JOBS) and len(path) > len(_JOBS):
            return {"GET": self._job, "HEAD": self._job}
        return super()._find(path)

    def _job(self, request: Request, _timings: Timings) -> Response:
        job, _, hook = request.path[len(_JOBS) :].rstrip("/").partition("/")
        if hook not in {"", "predict"} or (hook and self.hooks is None):
            raise NotFoundError(f"There is nothing at {describe(request.path)}; a job is at {_JOBS}ID.")
        response = self.door.status(job)
        if hook:
            response = self._hooked(response, lambda values: self._encode_predict(values, None))
        marks = Marks()
        marks.endpoint = True
        return mark(self._sized(response), marks)

    def _openapi(self) -> dict[str, Any]:
        from coldpress_runtime.fallback.described import describe_endpoint  # noqa: PLC0415 - not needed to start

        return describe_endpoint(super()._openapi(), self._settings)


def mark(response: Response, marks: Marks) -> Response:
    """Tell in a response, and to whoever logs it, what became of the request."""
    response.headers.update(marks.headers())
    response.marks = marks
    return response
