"""``coldpress shrink`` by itself: a model in, a smaller model and its report out, nothing half-written."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from coldpress.bundle.swap import fresh_file
from coldpress.config import Config
from coldpress.console import progress
from coldpress.errors import ConfigError
from coldpress.model.files import model_files, read_model, write_model
from coldpress.report.assemble import assemble
from coldpress.report.page import write_report
from coldpress.search.account import Shrunk
from coldpress.search.shrink_file import ShrunkFile, shrink_file
from coldpress.search.task import Task, make_task

__all__ = ["ShrinkPlan", "execute", "make_plan"]


@dataclass(frozen=True)
class ShrinkPlan:
    """What ``coldpress shrink`` is going to do. ``report`` None writes none."""

    model: Path
    out: Path
    report: Path | None
    python: str
    task: Task

    @property
    def tokenizer(self) -> Path | None:
        """Where the tokenizer of a trimmed vocabulary goes."""
        return None if self.task.tokenizer is None else self.out.with_name(f"{self.out.stem}.tokenizer.json")


def make_plan(config: Config, out: Path | None, report: Path | None) -> ShrinkPlan:
    """Decide everything that can be decided without opening the model.

    Raises:
        ConfigError: No model is named, or a file that is read would be written over.
    """
    model = config.model.source
    if model is None:
        raise ConfigError("No model is named; give one (`coldpress shrink model.onnx`) or set `model.source`.")
    out = out or model.with_name(f"{model.stem}.small.onnx")
    task = make_task(config)
    plan = ShrinkPlan(model, out, report, config.function.python, task)
    inputs = [model, *(Path(source) for source in (task.evaluation, task.calibration, task.tokenizer) if source)]
    beside = report and report.parent / f"{report.stem}.json"
    written: list[Path] = []
    for file in filter(None, (out, report, beside, plan.tokenizer)):
        if file.is_dir():
            raise ConfigError(f"{file} is a folder; name a file to write.")
        if any(file.resolve() == given.resolve() for given in inputs):
            raise ConfigError(f"{file} is read, and would be written over; choose another name.")
        if file.resolve() in written:
            raise ConfigError(f"{file} would be written twice; choose names that differ, .html for the report's page.")
        written.append(file.resolve())
    return plan


def execute(plan: ShrinkPlan) -> Shrunk:
    """Carry out ``plan``; ``plan.out`` is written at the very end.

    Raises:
        PackError: Of the class that says at which step it stopped.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-") as scratch:
        found = shrink_file(plan.task, plan.model, plan.python, Path(scratch))
        with progress(f"write {plan.out}"):
            _write(plan, found)
    return replace(found.shrunk, path=plan.out)


def _write(plan: ShrinkPlan, found: ShrunkFile) -> None:
    """Write all that was asked for, the model last."""
    if plan.report is not None:
        document = assemble(plan.model.stem, plan.model, plan.task, found.shrunk)
        write_report(document, plan.report, plan.report.with_suffix(".json"))
    if plan.tokenizer is not None and found.inputs.tokenizer is not None:
        plan.tokenizer.parent.mkdir(parents=True, exist_ok=True)
        with fresh_file(plan.tokenizer) as new:
            new.write_text(found.inputs.tokenizer, encoding="utf-8")
    _write_model(found.shrunk.path, plan.out)


def _write_model(model: Path, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if len(model_files(model)) > 1:
        write_model(read_model(model), out)
        return
    with fresh_file(out) as new:
        shutil.copyfile(model, new)
