"""The samples of a shrink, checked: what the gate judges on, and what steers the search."""

from coldpress.console import progress
from coldpress.reference import Reference
from coldpress.samples.load import load_samples
from coldpress.samples.partition import check_disjoint
from coldpress.samples.sample_set import SampleSet
from coldpress.samples.synthesis import synthesize
from coldpress.search.task import Task

__all__ = ["gather_samples"]


def gather_samples(task: Task, reference: Reference) -> tuple[SampleSet, SampleSet | None]:
    """Return the samples to judge on and those for calibration; without any, made-up inputs and None.

    Calibration samples are None as well where the user named none: a search then sets some of the others aside.

    Raises:
        SamplesError: They cannot be read, do not match the model, or are the same in both.
    """
    if task.evaluation is None:
        with progress("find an input that the model runs on"):
            return synthesize(reference), None
    with progress(f"read {task.evaluation}"):
        samples = load_samples(task.evaluation, reference.signature, task.options)
    if task.calibration is None:
        return samples, None
    with progress(f"read {task.calibration}"):
        calibration = load_samples(task.calibration, reference.signature, task.options)
    check_disjoint(calibration, samples)
    return samples, calibration
