"""The lossless step: strip the model, and keep the result only when every answer stays what it was."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from coldpress.console import progress
from coldpress.errors import ModelError, SamplesError
from coldpress.model.files import model_bytes, model_files, write_model
from coldpress.reference import Difference, Reference, compare_outputs
from coldpress.samples.load import SampleSet
from coldpress.shrink.guard import untouchable
from coldpress.shrink.strip import FINISHING, Step, strip

__all__ = ["Stripped", "strip_exactly"]

COMPARED = 16
"""Requests on which answers are compared here; the gate, and the finished bundle, compare again."""


@dataclass(frozen=True)
class Stripped:
    """The model after the lossless passes, or as it came.

    Attributes:
        model: In memory, before the passes that hide weights from the encodings (``FINISHING``).
        path: On disk, after them; the original's own file where they were undone.
        bytes: Of the file.
        steps: What each pass did.
        why_not: Why the passes were undone, all of them; empty when they were kept.
        kept: Whether ``model`` is the stripped one.
    """

    model: ModelProto
    path: Path
    bytes: int
    steps: tuple[Step, ...]
    why_not: str = ""
    kept: bool = True

    @property
    def recipe(self) -> tuple[str, ...]:
        """The words of ``[shrink] allow`` that made it."""
        return ("strip",) if self.kept else ()

    def to_json(self) -> Mapping[str, Any]:
        """Return what reports say of the steps."""
        return {"steps": [step.to_json() for step in self.steps], "why_not": self.why_not}


def strip_exactly(
    source: Path, original: ModelProto, reference: Reference, samples: SampleSet, path: Path, *, wanted: bool
) -> Stripped:
    """Write the model that the lossless passes give, if it answers like the original, bit for bit; else the original.

    Args:
        source: The original's file.
        original: The model as read from it.
        reference: The original file, open in the plain binding.
        samples: Requests to compare answers on; a few are taken.
        path: Where the model goes; an original that is one file stays where it is.
        wanted: False to leave the model as it is.
    """
    size = model_bytes(source)
    steps: tuple[Step, ...] = ()
    why_not = untouchable(original) if wanted else ""
    if wanted and not why_not:
        with progress("strip what no answer needs"):
            result = strip(original)
            finished = strip(result.model, FINISHING)
            write_model(finished.model, path)
            why_not = _why_not(reference, path, samples, size)
        steps = (*result.steps, *finished.steps)
        if not why_not:
            return Stripped(result.model, path, model_bytes(path), steps)
    if len(model_files(source)) == 1:
        return Stripped(original, source, size, steps, why_not, kept=False)
    write_model(original, path)  # one file where it can be
    return Stripped(original, path, model_bytes(path), steps, why_not, kept=False)


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
