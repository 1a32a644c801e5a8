"""Gates on small models and samples, and candidates made by changing weights."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, load, numpy_helper, save

from coldpress.gate.gate import Gate, Limits, Verdict
from coldpress.gate.metrics import resolve_metric
from coldpress.gate.verdict import Check
from coldpress.samples.load import SampleSet
from coldpress_runtime.library import find_library
from tests.support import models

__all__ = ["LIMITS", "UNTIMED", "changed", "checks_of", "digits_gate", "digits_rows", "gate_of", "judged", "noise"]

LIMITS = Limits(max_slowdown=1000)
"""Times are not what tests are about."""
UNTIMED = Limits(max_bytes=1)
"""Fails at once, so that nothing is timed: for tests that look at one check."""


def gate_of(
    path: Path, samples: SampleSet, metric: str | None = "cosine", limits: Limits = LIMITS, **rest: Any
) -> Gate:
    """A gate that runs what is installed."""
    resolved = resolve_metric(metric, samples.labels is not None)
    return Gate(path, samples, resolved, limits, library=Path(find_library()), **rest)


def judged(
    original: ModelProto,
    candidate: ModelProto,
    requests: Sequence[dict[str, Any]],
    folder: Path,
    *,
    labels: Any = None,
    **rest: Any,
) -> Verdict:
    """Write two models and hold one against the other."""
    save(original, folder / "m.onnx")
    save(candidate, folder / "c.onnx")
    return gate_of(folder / "m.onnx", SampleSet(tuple(requests), labels), **rest).judge(folder / "c.onnx")


@cache
def digits_rows() -> tuple[np.ndarray, np.ndarray]:
    """Rows [n, 64] that the digits model has not seen, and their labels."""
    return models.digits()[2:]


@cache
def digits_gate(metric: str | None = None, count: int = 10_000, limits: Limits = LIMITS) -> Gate:
    """The digits model with labels, one row a request."""
    rows, labels = digits_rows()
    samples = SampleSet(tuple({"X": row[None]} for row in rows[:count]), labels[:count])
    return gate_of(models.fetch("digits_mlp"), samples, metric, limits)


def changed(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Write the digits model with every matrix changed to ``path``."""
    proto = load(models.fetch("digits_mlp"))
    for weight in proto.graph.initializer:
        array = numpy_helper.to_array(weight)
        if array.dtype == np.float32 and array.ndim == 2 and array.size > 100:
            weight.CopyFrom(numpy_helper.from_array(change(array).astype(np.float32), weight.name))
    save(proto, path)
    return path


def noise(size: float) -> Callable[[np.ndarray], np.ndarray]:
    """Noise of ``size`` times a matrix's own deviation, the same each time."""
    random = np.random.default_rng(0)
    return lambda array: array + size * array.std() * random.standard_normal(array.shape)


def checks_of(verdict: Verdict) -> dict[str, Check]:
    """The checks by name."""
    return {check.name: check for check in verdict.checks}
