"""What a shrink begins with: the model, open, and its samples, checked: what the gate judges on, and what steers."""

from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from coldpress.console import progress
from coldpress.model.engine_check import check_opens
from coldpress.model.files import read_model
from coldpress.reference import Reference
from coldpress.samples.load import load_samples
from coldpress.samples.partition import check_disjoint
from coldpress.samples.sample_set import SampleSet
from coldpress.samples.synthesis import synthesize
from coldpress.search.task import Task

__all__ = ["Inputs", "read_inputs"]


@dataclass(frozen=True)
class Inputs:
    """The model that a smaller one must answer like, and the requests to ask both.

    Attributes:
        source: The user's file.
        path: The file to answer like: the user's own, or that one with a trimmed vocabulary.
        model: What ``path`` holds.
        reference: ``path``, open in the plain binding.
        samples: What the gate judges on; made-up inputs where the user has none.
        calibration: What steers the search; None to set a part of ``samples`` aside.
        tokenizer: Text of the ``tokenizer.json`` that goes with ``path``, where that is not the user's own.
        recipe: What made ``path`` of ``source``.
        notes: What a user should know of that.
    """

    source: Path
    path: Path
    model: ModelProto
    reference: Reference
    samples: SampleSet
    calibration: SampleSet | None
    tokenizer: str | None = None
    recipe: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_inputs(task: Task, source: Path) -> Inputs:
    """Open the model and read its samples.

    Raises:
        ModelError: The model cannot be read or opened.
        SamplesError: The samples cannot be read, do not match the model, or are the same in both.
    """
    with progress(f"read {source.name}"):
        model = read_model(source)
        check_opens(model, source)
        reference = Reference(source)
    samples, calibration = _samples(task, reference)
    return Inputs(source, source, model, reference, samples, calibration)


def _samples(task: Task, reference: Reference) -> tuple[SampleSet, SampleSet | None]:
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
