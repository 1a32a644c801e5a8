"""The way of every shrink, from the user's file to the model that ships."""

from dataclasses import dataclass
from pathlib import Path

from coldpress.bundle.wheels import Engine, engine_library
from coldpress.cache import cache_dir
from coldpress.console import progress
from coldpress.search.account import Shrunk
from coldpress.search.inputs import Inputs, read_inputs
from coldpress.search.shrinker import shrink
from coldpress.search.task import Task
from coldpress.search.vocabulary_step import trim_inputs
from coldpress.shrink.lossless import Stripped, strip_exactly

__all__ = ["ShrunkFile", "shrink_file"]

_WORTH_BYTES = 1_000_000
"""In a bundle, weights are encoded where that saves so much: beside the runtime's 30 MB, less shows in no start."""


@dataclass(frozen=True)
class ShrunkFile:
    """A model that was shrunk, what it was shrunk from, and the engine it was judged with."""

    inputs: Inputs
    engine: Engine
    stripped: Stripped
    shrunk: Shrunk


def shrink_file(task: Task, model: Path, python: str, work: Path, *, bundled: bool = False) -> ShrunkFile:
    """Read a model and its samples, strip it, and find the smallest that is still right.

    Args:
        task: What is asked.
        model: The user's file.
        python: Version of the function's Python, such as ``3.13``.
        work: Folder for all that is written.
        bundled: Whether the model ships with the engine: then sizes are compared with the engine's added.

    Raises:
        PackError: Of the class that says at which step it stopped.
    """
    inputs = trim_inputs(task, read_inputs(task, model), work)
    wanted = "strip" in task.passes
    place = work / "stripped.onnx"
    stripped = strip_exactly(inputs.path, inputs.model, inputs.reference, inputs.samples, place, wanted=wanted)
    with progress(f"get ONNX Runtime for {task.architecture}"):
        engine = engine_library(python, task.architecture, cache_dir("wheels"))
    worth, beside = (_WORTH_BYTES, engine.path.stat().st_size) if bundled else (0, 0)
    shrunk = shrink(task, inputs, stripped, engine, work, worth_bytes=worth, beside_bytes=beside)
    return ShrunkFile(inputs, engine, stripped, shrunk)
