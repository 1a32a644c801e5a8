"""The lossless step of a pack: strip the model, and keep the result only when every answer stays what it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from coldpress.console import progress
from coldpress.errors import ModelError, SamplesError
from coldpress.model.files import model_bytes, write_model
from coldpress.plan import Plan
from coldpress.reference import Difference, Reference, compare_outputs
from coldpress.samples.load import SampleSet
from coldpress.shrink.strip import strip

__all__ = ["Shrunk", "shrink"]

COMPARED = 16
"""Requests on which answers are compared here; the finished bundle is compared again."""


@dataclass(frozen=True)
class Shrunk:
    """The model after the lossless passes, and what the report says of them."""

    path: Path
    record: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def shrink(plan: Plan, original: ModelProto, reference: Reference, samples: SampleSet, path: Path) -> Shrunk:
    """Write the smallest model that the allowed passes give and that answers like the original, bit for bit.

    Args:
        plan: Says which passes may run.
        original: The model as read from ``plan.model``.
        reference: The original file, open in the plain binding.
        samples: Requests to compare answers on; a few are taken.
        path: Where the model goes; the original goes there when no pass is accepted.
    """
    size = model_bytes(plan.model)
    candidates: list[dict[str, Any]] = []
    if "strip" in plan.passes:
        with progress("strip what no answer needs"):
            result = strip(original)
            write_model(result.model, path)
            why_not = _why_not(reference, path, samples, size)
        stripped = model_bytes(path)
        steps = [step.to_json() for step in result.steps]
        candidate = {"recipe": ["strip"], "bytes": stripped, "accepted": not why_not, "why_not": why_not}
        candidates = [candidate | {"steps": steps}]
        record = {"recipe": ["strip"], "original_bytes": size, "shrunk_bytes": stripped, "candidates": candidates}
        if not why_not:
            return Shrunk(path, record)
    write_model(original, path)
    record = {"recipe": [], "original_bytes": size, "shrunk_bytes": size, "candidates": candidates}
    notes = tuple(f"Strip was left out: {c['why_not']}." for c in candidates)
    return Shrunk(path, record, notes)


def _why_not(reference: Reference, path: Path, samples: SampleSet, size: int) -> str:
    """Say why the model at ``path`` must not take the place of the original, or nothing."""
    difference = Difference()
    try:
        after = Reference(path)
        for request in samples.requests[:COMPARED]:
            before = reference.run(request)
            difference = difference.join(compare_outputs(before, after.run(request), reference.drawn))
    except (ModelError, SamplesError) as error:
        return f"ONNX Runtime refuses the stripped model ({error})"
    if not difference.equal:
        return f"answers differ by up to {difference.max_abs:.3g}"
    if (stripped := model_bytes(path)) > size:
        return f"it is larger, {stripped:,} bytes instead of {size:,}"
    return ""
