"""The road of a shrink: strip, search under the gate, choose; and what is said where nothing can be gained."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from onnx import ModelProto

from coldpress.answer_loss import OutputLoss
from coldpress.bundle.wheels import Engine
from coldpress.console import activity, progress
from coldpress.errors import ModelError, SamplesError, ShrinkError
from coldpress.forms.candidates import host_runs
from coldpress.gate.gate import Gate, Limits
from coldpress.gate.metrics import resolve_metric
from coldpress.model.files import model_bytes, write_model
from coldpress.reference import Reference
from coldpress.report.weights import weight_rows
from coldpress.samples.partition import check_varied, split_samples
from coldpress.samples.sample_set import SampleSet
from coldpress.samples.states import answers
from coldpress.search.account import EXACT, UNTOUCHED, Shrunk, nothing_to_gain, result
from coldpress.search.calibration import Calibration
from coldpress.search.candidate import Candidate
from coldpress.search.clock import Clock
from coldpress.search.inputs import Inputs
from coldpress.search.kept import read_result, result_key, write_result
from coldpress.search.search import Search
from coldpress.search.selection import LEAST_GAIN, best, nearest
from coldpress.search.styles import ZIPPED
from coldpress.search.task import Task
from coldpress.search.trials import Trials
from coldpress.search.unmeasured import bounded_choices
from coldpress.search.unproven import unproven_weights
from coldpress.shrink.lossless import Stripped
from coldpress.shrink.strip import FINISHING, WITHIN_ROUNDING, strip
from coldpress_runtime.library import find_library

__all__ = ["shrink"]

_ROUNDING = 1e-8
"""Relative squared error of answers that float32 rounding alone may make of a folded model."""
_ALIKE = 0.99
"""Cosine with the original on made-up inputs below which a storage format is not even offered unmeasured."""


def shrink(
    task: Task,
    inputs: Inputs,
    stripped: Stripped,
    engine: Engine,
    work: Path,
    *,
    worth_bytes: int = 0,
    beside_bytes: int = 0,
) -> Shrunk:
    """Find the smallest model that is still right.

    Args:
        task: What is asked.
        inputs: The original, and its samples.
        stripped: The model after the lossless passes.
        engine: ONNX Runtime's library for the function.
        work: Folder for candidates.
        worth_bytes: Search only where at least so many bytes could be saved.
        beside_bytes: What ships with any model, see ``coldpress.search.selection.best``.

    Raises:
        ShrinkError: No model that is right is within ``task.max_bytes``.
        SamplesError: The samples cannot tell right from wrong.
    """
    if task.evaluation is None:
        return _unmeasured(task, inputs, stripped, work)
    samples, calibration = inputs.samples, inputs.calibration
    metric = resolve_metric(task.metric, samples.labels is not None)
    reason = nothing_to_gain(stripped, worth_bytes) if task.lossy else ""
    searched = task.lossy and not reason
    if searched:
        try:
            calibration, samples = _divided(samples, calibration)
        except SamplesError as error:
            searched, reason = False, f"Only lossless passes ran: {error}."
    if searched and (unproven := unproven_weights(stripped.model, inputs.reference.drawn)):
        what = f"weights such as {unproven[0]} show in answers alone that depend on chance, and cannot be compared"
        searched, reason = False, f"Only lossless passes ran: {what}."
    key = result_key(tuple(dict.fromkeys((inputs.source, inputs.path))), task, (samples, calibration), engine.sha256)
    path = work / "chosen.onnx"
    if searched and (kept := read_result(key, path)) is not None:
        return Shrunk(path, kept["record"], kept["quality"], tuple(kept["notes"]), tuple(kept["weights"]))
    limits = Limits(task.max_drop, task.max_slowdown, task.max_bytes, task.max_peak_mb)
    with progress("answer the samples with the original"):
        gate = Gate(
            inputs.path,
            samples,
            metric,
            limits,
            library=_library(engine, task.architecture),
            threads=task.threads,
            drawn=inputs.reference.drawn,
            architecture=task.architecture,
        )
        if searched:
            gate.check_samples()
    title = "search for the smallest model that is right" if searched else "hold the model against the original"
    with activity(title, task.time_limit_s) as tell:
        clock = Clock(task.time_limit_s)
        steer = None
        if searched and calibration is not None:
            steer = Calibration(inputs.reference, calibration, metric, work, threads=os.cpu_count() or 1)
        trials = Trials(gate, steer, clock, work, tell)
        stripped = _settled(task, inputs, stripped, trials)
        early = ""
        if steer is not None:
            base = _rounded(stripped, steer)
            early = Search(base, stripped.recipe, trials, steer, task.passes, limits, clock, tell).run()
    counts = {
        "calibration": len(calibration.requests) if searched and calibration is not None else 0,
        "evaluation": len(samples.requests),
        "origin": samples.origin,
    }
    chosen = best(trials.candidates, task.max_bytes, beside_bytes, zipped=ZIPPED in task.passes)
    if chosen is None:
        _refuse(trials.candidates, task, early)
    shrunk = result(chosen, trials.candidates, inputs, stripped, (reason, early), counts)
    if searched and not early:
        told = {"record": shrunk.record, "quality": shrunk.quality, "notes": shrunk.notes, "weights": shrunk.weights}
        write_result(key, shrunk.path, told)
    return shrunk


def _library(engine: Engine, architecture: str) -> Path:
    """Return the library that ships where this machine runs it, else the installed one, which is the same version."""
    return engine.path if host_runs(architecture) else Path(find_library())


def _divided(samples: SampleSet, calibration: SampleSet | None) -> tuple[SampleSet, SampleSet]:
    """Return samples to steer by and samples to judge on.

    Raises:
        SamplesError: They are too few, or too much alike, to tell anything by.
    """
    if calibration is None:
        calibration, samples = split_samples(samples)
    check_varied(samples)
    return calibration, samples


def _settled(task: Task, inputs: Inputs, stripped: Stripped, trials: Trials) -> Stripped:
    """Judge the stripped model and, where it does not pass, the original itself; return the one to go on from."""
    exact = trials.judge_file(stripped.path, stripped.model, EXACT, stripped.recipe)
    size = model_bytes(inputs.path)
    if exact.passed or exact.path == inputs.path or (task.max_bytes is not None and size > task.max_bytes):
        return stripped
    if not trials.judge_file(inputs.path, inputs.model, UNTOUCHED, ()).passed:
        return stripped
    why_not = exact.why_not.rstrip(".")
    return dataclasses.replace(stripped, model=inputs.model, path=inputs.path, bytes=size, why_not=why_not, kept=False)


def _rounded(stripped: Stripped, steer: Calibration) -> ModelProto:
    """Fold what can only be folded within rounding, where answers show no more than that: fewer tensors to encode."""
    if not stripped.kept:
        return stripped.model
    folded = strip(stripped.model, WITHIN_ROUNDING).model
    return folded if steer.loss(folded) < _ROUNDING else stripped.model


def _refuse(candidates: Sequence[Candidate], task: Task, early: str = "") -> NoReturn:
    """Say what comes nearest, when nothing is both right and within the limits; ``early`` is why the search ended.

    Raises:
        ShrinkError: Always.
    """
    smallest = min(candidates, key=lambda candidate: candidate.bytes)
    if task.max_bytes is None:
        last = candidates[-1]
        raise ShrinkError(
            f"No model is within all limits; {last.name} was tried last, and refused: {last.why_not} {early}".rstrip()
        )
    if (close := nearest(candidates, task.max_bytes)) is not None:
        advice = (
            f"the nearest tried that is right is {close.name} with {close.bytes:,} bytes: allow that, or a larger drop."
        )
    else:
        why_not = f": {smallest.why_not}" if smallest.why_not else "; --samples lets more be tried."
        advice = f"the smallest tried is {smallest.name} with {smallest.bytes:,} bytes{why_not}"
    raise ShrinkError(f"No model of at most {task.max_bytes:,} bytes is still right; {advice} {early}".rstrip())


def _unmeasured(task: Task, inputs: Inputs, stripped: Stripped, work: Path) -> Shrunk:
    """Choose without samples: the lossless model, or, if that is allowed, the most faithful storage that fits."""
    exact = Candidate(EXACT, stripped.recipe, stripped.path, stripped.bytes, 0.0, weights=weight_rows(stripped.model))
    candidates = [exact]
    notes: list[str] = []
    reason = nothing_to_gain(stripped, 0) if task.lossy else ""
    if reason and task.allow_unmeasured:
        notes.append(reason)
    elif task.lossy and not reason and task.allow_unmeasured:
        with progress("store weights in fewer bits"):
            before = list(answers(inputs.reference.run, inputs.samples))
            for family, model in bounded_choices(stripped.model, task.passes).items():
                candidates.append(_bounded(family, model, stripped, before, inputs, work))
    elif task.lossy and not reason:
        notes.append("Only lossless passes ran: --samples lets more be tried, --allow-unmeasured without proof.")
    offered = [candidate for candidate in candidates if not candidate.why_not]
    lossy = [candidate for candidate in offered[1:] if candidate.bytes <= (1 - LEAST_GAIN) * exact.bytes]
    within = [c for c in (*lossy, exact) if task.max_bytes is None or c.bytes <= task.max_bytes]
    if not within:
        _refuse(candidates, task)
    chosen = within[0]
    if chosen is not exact:
        notes.append("No answer of the smaller model was measured; give --samples to have it proven.")
    counts = {"calibration": 0, "evaluation": 0, "origin": inputs.samples.origin}
    return result(chosen, candidates, inputs, stripped, notes, counts)


def _bounded(
    family: str,
    model: ModelProto,
    stripped: Stripped,
    before: Sequence[Mapping[str, Any]],
    inputs: Inputs,
    work: Path,
) -> Candidate:
    path = work / f"{family}.onnx"
    rows = weight_rows(model)
    write_model(strip(model, FINISHING).model, path)
    why_not, loss = "", None
    try:
        after = list(answers(Reference(path).run, inputs.samples))
        loss = OutputLoss(before, inputs.reference.drawn).of(after).mean
        if loss > 1 - _ALIKE:
            why_not = f"its answers to made-up inputs are far from the original's (relative error {loss:.2g})"
    except (ModelError, SamplesError) as error:
        why_not = str(error)
    return Candidate(family, (*stripped.recipe, family), path, model_bytes(path), loss, weights=rows, why_not=why_not)
