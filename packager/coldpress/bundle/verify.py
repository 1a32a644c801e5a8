"""Proof that a bundle works: started from its zip in an empty environment, it must answer like the original model.

The function runs under the provider's own runtime; requests go in as the provider hands them over, in the protocol's
binary form, which keeps every bit; the answers are held against the plain ``onnxruntime`` binding on the original file.
A bundle with a stand-in model for other CPUs is started a second time as such a CPU would start it. Packages of hooks
are imported one by one; what trimming broke is put back, and the bundle written anew.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from coldpress.bundle.archive import Archive
from coldpress.bundle.runnable import Bundle
from coldpress.bundle.tree import Tree, TreePlan
from coldpress.bundle.verify_door import verify_door
from coldpress.emulate.function import LocalFunction, start
from coldpress.emulate.http import HttpRequest, Reply
from coldpress.errors import EmulateError, VerifyError
from coldpress.exchange import compare_answer, infer_request, plain_json, read_answer
from coldpress.measure import init_steps
from coldpress.reference import Difference, Reference, compare_outputs
from coldpress.samples.load import SampleSet

__all__ = ["TOLERANCE", "Verification", "Verified", "verify"]

TOLERANCE = 1e-5
"""Answers may differ by this share of a tensor's largest magnitude, as sums in another order do; it is reported."""
_SAMPLES = 8
_TIMEOUT_S = 120  # for an answer: this machine may be slower than the provider's
_OK, _TOO_LARGE, _SERVER_ERROR = 200, 413, 500


@dataclass(frozen=True)
class Verification:
    """What was proven.

    Attributes:
        samples: requests compared; ``portable_samples`` of them also with the stand-in model.
        equal: every answer was the original's, bit for bit.
        max_abs, max_rel: how far they were off at most; relative to each tensor's largest magnitude.
        python: minor version of the interpreter that ran the bundle.
        init_ms: from the start of the process to its first request for work.
        steps: where that goes: interpreter and runtime client, then the function's own steps, in ms.
        imported: packages of hooks that were imported.
        restored: what trimming had taken out and was put back.
        drawn: outputs that depend on chance, also in the original: of these only kind, element type and rank were
            compared, and ``equal`` is False.
        notes: what could not be proven on this machine, and why.
    """

    samples: int
    portable_samples: int
    equal: bool
    max_abs: float
    max_rel: float
    python: str
    init_ms: float
    steps: Mapping[str, float] = field(default_factory=dict)
    imported: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dataclasses.asdict(self)

    def summary(self, of: str = "the original") -> str:
        """Say it in one line; ``of`` is the model that the answers were compared with."""
        how = "bit for bit" if self.equal else f"within {self.max_rel:.1g} of the largest value"
        if self.drawn:
            how = how if self.max_rel else "with the same values"
            how += f", and in type and rank where chance decides ({', '.join(self.drawn)})"
        count = f"{self.samples} sample{'s' if self.samples != 1 else ''}"
        return f"verified: answers like {of} on {count}, {how}, under Python {self.python}"


@dataclass(frozen=True)
class Verified:
    """The bundle as it is after verification, which may have put trimmed files back."""

    tree: Tree
    archive: Archive
    verification: Verification


def verify(plan: TreePlan, tree: Tree, archive: Archive, reference: Reference, samples: SampleSet) -> Verified:
    """Start the bundle from its zip and compare its answers with the original model's.

    Args:
        plan: What the bundle was built from.
        tree: The bundle as a folder; changed when something trimmed must come back.
        archive: Its zip, which is then written anew.
        reference: The original model in the plain binding.
        samples: Requests; the first few are sent.

    Raises:
        VerifyError: It does not start, or does not answer like the original.
    """
    requests = samples.requests[:_SAMPLES]
    expected = [reference.run(request) for request in requests]
    bundle = Bundle(plan, tree, archive)
    bundle.import_packages()
    trial = _answered(bundle, reference, requests, expected)
    total, portable = trial.difference, 0
    if plan.manifest["portable"] is not None:
        try:
            with bundle.stand_in() as build:
                total = total.join(_run(bundle, build, reference, requests, expected).difference)
        except EmulateError as error:
            raise VerifyError(f"The bundle does not start on other CPUs: {error}") from error
        portable = len(requests)
    if plan.fallback:
        verify_door(bundle, reference.signature)
    verification = Verification(
        samples=len(requests),
        portable_samples=portable,
        equal=total.equal and not reference.drawn,
        max_abs=total.max_abs,
        max_rel=total.max_rel,
        python=trial.python,
        init_ms=round(trial.init_ms, 1),
        steps=trial.steps,
        imported=tuple(bundle.imported),
        restored=tuple(bundle.restored),
        drawn=tuple(sorted(reference.drawn)),
        notes=tuple(dict.fromkeys([*bundle.notes, *trial.notes])),
    )
    return Verified(bundle.tree, bundle.archive, verification)


class _ChangedError(Exception):
    """Something trimmed was put back while the function ran: it must start again."""


@dataclass(frozen=True)
class _Run:
    """What one start of the function gave."""

    difference: Difference
    init_ms: float
    steps: Mapping[str, float]
    python: str
    notes: tuple[str, ...]


def _answered(
    bundle: Bundle, reference: Reference, requests: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any]]
) -> _Run:
    """Start the bundle and send the requests; while it misses something that was trimmed, put that back and retry."""
    while True:
        try:
            with bundle.runnable() as build:
                return _run(bundle, build, reference, requests, expected)
        except _ChangedError:
            continue
        except EmulateError as error:
            if not bundle.put_back(str(error)):
                raise VerifyError(f"The bundle does not start: {error}") from error


def _run(
    bundle: Bundle,
    build: Path,
    reference: Reference,
    requests: Sequence[Mapping[str, Any]],
    expected: Sequence[Mapping[str, Any]],
) -> _Run:
    manifest = bundle.plan.manifest
    path = f"/v2/models/{quote(manifest['name'], safe='')}"
    memory, timeout = manifest["function"]["memory_mb"], max(_TIMEOUT_S, manifest["function"]["timeout_s"])
    notes: list[str] = []
    with start(build, python=bundle.python, memory_mb=memory, timeout_s=timeout) as function:
        _expect_ok(function.call(HttpRequest("GET", "/v2/health/ready")).reply, "/v2/health/ready")
        metadata = json.loads(_expect_ok(function.call(HttpRequest("GET", path)).reply, path).body)
        _check_signature(metadata, reference)
        total = Difference()
        composite = {port.name for port in reference.signature.inputs if port.kind != "tensor"}
        for request, answer in zip(requests, expected, strict=True):
            body, headers = infer_request(request, composite)
            reply = function.call(HttpRequest("POST", f"{path}/infer", headers, body)).reply
            if reply.status == _TOO_LARGE:
                got: Mapping[str, Any] = bundle.answer_directly(request)
                notes.append("A sample or its answer is over the provider's limit, and was compared at the engine.")
                difference = compare_outputs(answer, got, reference.drawn)
            else:
                got = read_answer(_expect_ok(reply, f"{path}/infer").body, reply.headers)
                difference = compare_answer(answer, got, reference.drawn)
            total = total.join(difference)
        if not total.within(TOLERANCE):
            what = total.structure or f"off by up to {total.max_abs:.3g}"
            raise VerifyError(
                f"The bundle does not answer like {reference.model.name}: {what}; pack with --form onnx, and tell us."
            )
        if bundle.hooks_run and (note := _try_hooks(bundle, function, requests[0])):
            notes.append(note)
        own = {name: ms for name, ms in init_steps(function.logs()).items() if name != "total_ms"}
        steps = {"interpreter_ms": round(function.init_ms - sum(own.values()), 2)} | own
        return _Run(total, function.init_ms, steps, function.minor, tuple(notes))


def _expect_ok(reply: Reply, path: str) -> Reply:
    if reply.status != _OK:
        raise VerifyError(
            f"The bundle answers {path} with {reply.status}: {reply.body[:300].decode('utf-8', 'replace')}"
        )
    return reply


def _check_signature(metadata: Mapping[str, Any], reference: Reference) -> None:
    for side in ("inputs", "outputs"):
        want = [port.name for port in getattr(reference.signature, side)]
        found = [item["name"] for item in metadata[side]]
        if want != found:
            raise VerifyError(f"The bundle's {side} are {', '.join(found)}; the original's are {', '.join(want)}.")


def _try_hooks(bundle: Bundle, function: LocalFunction, request: Mapping[str, Any]) -> str:
    """Send a sample through the hooks as plain JSON; what they make of it is theirs, unless they miss a module."""
    body = json.dumps({"inputs": {name: plain_json(value) for name, value in request.items()}}).encode()
    reply = function.call(HttpRequest("POST", "/predict", body=body)).reply
    if reply.status == _OK:
        return ""
    if reply.status >= _SERVER_ERROR and bundle.put_back(function.logs()):
        raise _ChangedError
    return (
        f"The hooks were imported; /predict answered a plain sample with {reply.status}, so what they do with real "
        "requests is not proven: try some with `coldpress invoke`."
    )
