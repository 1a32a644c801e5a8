"""The report document of a shrink, and of the pack around it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress import __version__
from coldpress.bundle.wheels import sha256_of
from coldpress.model.files import model_bytes, read_model
from coldpress.report.weights import weight_rows
from coldpress.search.account import Shrunk
from coldpress.search.task import Task

if TYPE_CHECKING:
    from coldpress.fit.verdict import Fit

__all__ = ["assemble"]


def assemble(
    title: str,
    model: Path,
    task: Task,
    shrunk: Shrunk,
    *,
    fit: "Fit | None" = None,
    steps: Mapping[str, float] | None = None,
    notes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the document that ``coldpress.report.page`` draws.

    Args:
        title: What the report is of.
        model: The original.
        task: What was asked.
        shrunk: What came of it.
        fit: Of the bundle, if there is one.
        steps: Of a cold start, in ms, in their order, if it was measured.
        notes: Further ones.
    """
    candidates = list(shrunk.record["candidates"])
    samples = shrunk.record["samples"]
    return {
        "coldpress": __version__,
        "title": title,
        "model": {"name": model.name, "bytes": model_bytes(model), "sha256": sha256_of(model)},
        "limits": {
            "max_bytes": task.max_bytes,
            "max_drop": task.max_drop,
            "max_slowdown": task.max_slowdown,
            "max_peak_mb": task.max_peak_mb,
        },
        "samples": {**samples, "metric": shrunk.quality["metric"]},
        "candidates": [_original(model, shrunk), *candidates],
        "tensors": {"before": weight_rows(read_model(model)), "after": list(shrunk.weights)},
        "bundle": None
        if fit is None
        else {"files": [{"path": e.path, "bytes": e.bytes, "kind": e.kind} for e in fit.sizes.entries]},
        "cold_start": None if not steps else {"steps": dict(steps), "original": None},
        "fit": []
        if fit is None
        else [{"target": fit.target, "verdict": fit.verdict, "limits": [use.to_json() for use in fit.uses]}],
        "notes": [*shrunk.notes, *notes],
    }


def _original(model: Path, shrunk: Shrunk) -> dict[str, Any]:
    quality = shrunk.quality
    return {
        "name": "original",
        "recipe": [],
        "bytes": model_bytes(model),
        "zip_bytes": quality.get("original_zip_bytes"),
        "loss": 0.0,
        "chosen": False,
        "accepted": True,
        "why_not": "",
        "seconds": 0.0,
        "encodings": {},
        "verdict": None,
    }
