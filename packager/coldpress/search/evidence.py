"""What a shrink goes by: the samples that judge, and those that steer a search, or the reason why there is none."""

from dataclasses import dataclass
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.partition import check_varied, split_samples
from coldpress.samples.sample_set import SampleSet
from coldpress.search.account import nothing_to_gain
from coldpress.search.inputs import Inputs
from coldpress.search.task import Task
from coldpress.search.unproven import unproven_weights
from coldpress.shrink.lossless import Stripped

__all__ = ["Evidence", "gather"]


@dataclass(frozen=True)
class Evidence:
    """The samples of one shrink.

    Attributes:
        evaluation: What the gate judges on; all there are where nothing is searched.
        calibration: What steers the search; None where only lossless passes run.
        why_not: Why nothing is searched that was asked for, a sentence; else empty.
    """

    evaluation: SampleSet
    calibration: SampleSet | None = None
    why_not: str = ""

    def counts(self) -> dict[str, Any]:
        """Return how many samples there are of each kind and where they are from, as reports hold it."""
        return {
            "calibration": len(self.calibration.requests) if self.calibration is not None else 0,
            "evaluation": len(self.evaluation.requests),
            "origin": self.evaluation.origin,
        }


def gather(task: Task, inputs: Inputs, stripped: Stripped, worth_bytes: int) -> Evidence:
    """Decide whether to search, and by which samples: only where bytes can be saved and samples can tell."""
    if not task.lossy:
        return Evidence(inputs.samples)
    if reason := nothing_to_gain(stripped, worth_bytes):
        return Evidence(inputs.samples, why_not=reason)
    try:
        calibration, evaluation = _divided(inputs)
    except SamplesError as error:
        return Evidence(inputs.samples, why_not=f"Only lossless passes ran: {error}.")
    if unproven := unproven_weights(stripped.model, inputs.reference.drawn):
        what = f"weights such as {unproven[0]} show in answers alone that depend on chance, and cannot be compared"
        return Evidence(inputs.samples, why_not=f"Only lossless passes ran: {what}.")
    return Evidence(evaluation, calibration)


def _divided(inputs: Inputs) -> tuple[SampleSet, SampleSet]:
    """Return samples to steer by and samples to judge on.

    Raises:
        SamplesError: They are too few, or too much alike, to tell anything by.
    """
    calibration, evaluation = inputs.calibration, inputs.samples
    if calibration is None:
        calibration, evaluation = split_samples(evaluation)
    check_varied(evaluation)
    return calibration, evaluation
