"""The road of a shrink with samples: search under the gate, choose, and keep what was found."""

import dataclasses
import os
from pathlib import Path

from onnx import ModelProto

from coldpress.bundle.wheels import Engine
from coldpress.console import activity, progress
from coldpress.gate.gate import Gate
from coldpress.gate.metrics import Metric, resolve_metric
from coldpress.machine import host_runs
from coldpress.model.files import model_bytes
from coldpress.search.account import EXACT, UNTOUCHED, Shrunk, result
from coldpress.search.calibration import Calibration
from coldpress.search.candidate import Candidate
from coldpress.search.clock import Clock
from coldpress.search.evidence import Evidence, gather
from coldpress.search.inputs import Inputs
from coldpress.search.kept import read_result, result_key, write_result
from coldpress.search.search import Search
from coldpress.search.selection import best, refuse
from coldpress.search.styles import ZIPPED
from coldpress.search.task import Task
from coldpress.search.trials import Trials
from coldpress.search.unmeasured import shrink_unmeasured
from coldpress.shrink.lossless import Stripped
from coldpress.shrink.strip import WITHIN_ROUNDING, strip
from coldpress_runtime.library import find_library

__all__ = ["shrink"]

_ROUNDING = 1e-8
"""Relative squared error of answers that float32 rounding alone may make of a folded model."""


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
        return shrink_unmeasured(task, inputs, stripped, work)
    metric = resolve_metric(task.metric, inputs.samples.labels is not None)
    evidence = gather(task, inputs, stripped, worth_bytes)
    key = _key(task, inputs, evidence, engine)
    if evidence.calibration is not None and (known := _known(key, work / "chosen.onnx")) is not None:
        return known
    gate = _gate(task, inputs, evidence, metric, engine)
    candidates, base, early = _try(task, inputs, stripped, evidence, gate, metric, work)
    chosen = best(candidates, task.max_bytes, beside_bytes, zipped=ZIPPED in task.passes)
    if chosen is None:
        refuse(candidates, task.max_bytes, early)
    shrunk = result(chosen, candidates, inputs, base, (evidence.why_not, early), evidence.counts())
    if evidence.calibration is not None and not early:
        _keep(key, shrunk)
    return shrunk


def _key(task: Task, inputs: Inputs, evidence: Evidence, engine: Engine) -> str:
    models = tuple(dict.fromkeys((inputs.source, inputs.path)))
    return result_key(models, task, (evidence.evaluation, evidence.calibration), engine.sha256)


def _known(key: str, path: Path) -> Shrunk | None:
    """Return what an earlier search found, its model put at ``path``."""
    kept = read_result(key, path)
    if kept is None:
        return None
    return Shrunk(path, kept["record"], kept["quality"], tuple(kept["notes"]), tuple(kept["weights"]))


def _keep(key: str, shrunk: Shrunk) -> None:
    told = {"record": shrunk.record, "quality": shrunk.quality, "notes": shrunk.notes, "weights": shrunk.weights}
    write_result(key, shrunk.path, told)


def _gate(task: Task, inputs: Inputs, evidence: Evidence, metric: Metric, engine: Engine) -> Gate:
    """Let the original answer the samples that judge; before a search, check that they can tell right from wrong.

    Where this machine does not run the library that ships, the installed one does: it is the same version.
    """
    with progress("answer the samples with the original"):
        gate = Gate(
            inputs.path,
            evidence.evaluation,
            metric,
            task.limits,
            library=engine.path if host_runs(task.architecture) else Path(find_library()),
            threads=task.threads,
            drawn=inputs.reference.drawn,
            architecture=task.architecture,
        )
        if evidence.calibration is not None:
            gate.check_samples()
    return gate


def _try(
    task: Task, inputs: Inputs, stripped: Stripped, evidence: Evidence, gate: Gate, metric: Metric, work: Path
) -> tuple[list[Candidate], Stripped, str]:
    """Judge what the lossless passes made and, where there is something to steer by, what a search finds.

    Returns:
        All candidates, the model that the search began with, and why it ended early, or nothing.
    """
    steered = evidence.calibration is not None
    title = "search for the smallest model that is right" if steered else "hold the model against the original"
    with activity(title, task.time_limit_s) as tell:
        clock = Clock(task.time_limit_s)
        steer = None
        if evidence.calibration is not None:
            steer = Calibration(inputs.reference, evidence.calibration, metric, work, threads=os.cpu_count() or 1)
        trials = Trials(gate, steer, clock, work, tell)
        base = _settled(task, inputs, stripped, trials)
        early = ""
        if steer is not None:
            model = _rounded(base, steer)
            early = Search(model, base.recipe, trials, steer, task.passes, task.limits, clock, tell).run()
    return trials.candidates, base, early


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
