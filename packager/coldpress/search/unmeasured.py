"""Without samples nothing is known of answers, so only encodings with a bounded error may be used, and only if asked.

float16 keeps 11 bits of each number: a weight moves by at most 2^-11 of itself. int8 with a scale a channel moves it by
at most half a step, 1/254 of the channel's largest. What that does to answers nobody has measured, and reports say so.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coldpress.answer_loss import OutputLoss
from coldpress.console import progress
from coldpress.errors import ModelError, SamplesError
from coldpress.reference import Reference
from coldpress.samples.states import answers
from coldpress.search.account import EXACT, Shrunk, nothing_to_gain, result
from coldpress.search.candidate import Candidate, candidate_of, write_candidate
from coldpress.search.evidence import Evidence
from coldpress.search.inputs import Inputs
from coldpress.search.selection import LEAST_GAIN, refuse
from coldpress.search.styles import uniform
from coldpress.search.task import Task
from coldpress.search.workbench import Workbench
from coldpress.shrink.lossless import Stripped

__all__ = ["shrink_unmeasured"]

_BOUNDED = ("fp16-storage", "int8-storage")
"""The families whose error has a bound, the more faithful first."""
_FAR = 0.01
"""Relative error on made-up inputs above which a storage format is not even offered."""


def shrink_unmeasured(task: Task, inputs: Inputs, stripped: Stripped, work: Path) -> Shrunk:
    """Choose without samples: the lossless model, or, if that is allowed, the most faithful storage that fits.

    Raises:
        ShrinkError: Nothing is within ``task.max_bytes``.
    """
    exact = replace(candidate_of(stripped.path, stripped.model, EXACT, stripped.recipe), loss=0.0)
    reason = nothing_to_gain(stripped, 0) if task.lossy else ""
    stored: list[Candidate] = []
    if task.lossy and not reason:
        if task.allow_unmeasured:
            with progress("store weights in fewer bits"):
                stored = list(_stored(task.passes, inputs, stripped, work))
        else:
            reason = "Only lossless passes ran: --samples lets more be tried, --allow-unmeasured without proof."
    worth = [c for c in stored if not c.why_not and c.bytes <= (1 - LEAST_GAIN) * exact.bytes]
    within = [c for c in (*worth, exact) if task.max_bytes is None or c.bytes <= task.max_bytes]
    if not within:
        refuse((exact, *stored), task.max_bytes)
    unproven = "No answer of the smaller model was measured; give --samples to have it proven."
    notes = (reason, "" if within[0] is exact else unproven)
    return result(within[0], (exact, *stored), inputs, stripped, notes, Evidence(inputs.samples).counts())


def _stored(allowed: Collection[str], inputs: Inputs, stripped: Stripped, work: Path) -> Iterator[Candidate]:
    """Yield the model in each bounded family that is allowed and applies."""
    before = list(answers(inputs.reference.run, inputs.samples))
    bench = Workbench(stripped.model)
    for family in _BOUNDED:
        choice = uniform(family, bench.sites, [family]) if family in allowed else {}
        if choice:
            recipe = (*stripped.recipe, family)
            made = write_candidate(work / f"{family}.onnx", bench.build(choice), family, recipe)
            yield _compared(made, inputs, before)


def _compared(made: Candidate, inputs: Inputs, before: Sequence[Mapping[str, Any]]) -> Candidate:
    """Add the loss on made-up inputs, and an objection where it is far too large."""
    try:
        after = list(answers(Reference(made.path).run, inputs.samples))
        loss = OutputLoss(before, inputs.reference.drawn).of(after).mean
    except (ModelError, SamplesError) as error:
        return replace(made, why_not=str(error))
    far = f"its answers to made-up inputs are far from the original's (relative error {loss:.2g})"
    return replace(made, loss=loss, why_not=far if loss > _FAR else "")
