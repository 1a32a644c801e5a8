"""The report document of a shrink, and of the pack around it.

The gate times the original beside every candidate, in turn. What is said of the original is what it took beside the
model that ships, so that both felt the same machine.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress import __version__
from coldpress.bundle.wheels import sha256_of
from coldpress.fit.compare import usual_price
from coldpress.fit.cost import Load
from coldpress.gate.verdict import Figures, Verdict
from coldpress.model.files import model_bytes, read_model
from coldpress.report.weights import weight_rows
from coldpress.search.account import Shrunk
from coldpress.search.task import Task
from coldpress.search.vocabulary_step import TRIMMED

if TYPE_CHECKING:
    from coldpress.fit.verdict import Fit

__all__ = ["assemble"]

_COSTS = ("zip_bytes", "cold_ms", "first_ms", "warm_ms", "peak_mb")


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
        steps: Of a cold start of the bundle, in ms, in their order, if it was measured; that of a bundle with the
            original never is.
        notes: Further ones; each is told once.
    """
    candidates = list(shrunk.record["candidates"])
    samples = shrunk.record["samples"]
    chosen = next((candidate["verdict"] for candidate in candidates if candidate["chosen"]), None)
    original = _original(model, candidates, trimmed=TRIMMED in shrunk.record["recipe"])
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
        "candidates": [original, *candidates],
        "tensors": {"before": weight_rows(read_model(model)), "after": list(shrunk.weights)},
        "bundle": None
        if fit is None
        else {"files": [{"path": e.path, "bytes": e.bytes, "kind": e.kind} for e in fit.sizes.entries]},
        "cold_start": None if not steps else {"steps": dict(steps), "original": None, "clock": "wall"},
        "model_start": _model_start(chosen, original["verdict"], task.threads),
        "fit": [] if fit is None else [_fit(fit, steps or {}, chosen, task.architecture)],
        "notes": list(dict.fromkeys((*shrunk.notes, *notes))),
    }


def _fit(fit: "Fit", steps: Mapping[str, float], chosen: Mapping[str, Any] | None, architecture: str) -> dict[str, Any]:
    """Return how a bundle fits its target and, where its start and the model's answers were timed, what they cost."""
    memory_mb = next((use.used for use in fit.uses if use.limit.name == "memory_mb"), None)
    price = None
    if steps and memory_mb and chosen and chosen["warm_ms"] is not None:
        load = Load(chosen["warm_ms"], chosen["warm_ms"], sum(steps.values()))
        price = usual_price(fit.target, architecture, memory_mb, load)
    limits = [use.to_json() for use in fit.uses]
    return {"target": fit.target, "verdict": fit.verdict, "limits": limits, "price": price}


def _original(model: Path, candidates: Sequence[Mapping[str, Any]], *, trimmed: bool) -> dict[str, Any]:
    """Return the original as a candidate, whose verdict is what the gate found of it: it is held against itself.

    Of a ``trimmed`` model costs are left out: what the gate timed had lost words already.
    """
    size = model_bytes(model)
    verdict = None
    if judged := _beside(candidates):
        costs = {} if trimmed else {name: judged[f"original_{name}"] for name in _COSTS}
        known = judged["original"] is not None
        figures = Figures(bytes=size, **costs)
        verdict = Verdict(
            metric=judged["metric"],
            original=judged["original"],
            shrunk=judged["original"],
            drop=0.0 if known else None,
            drop_bound=0.0 if known else None,
            samples=judged["samples"],
            identical=True,
            slowdown=None if figures.warm_ms is None else 1.0,
            figures=figures,
            original_figures=figures,
        ).to_json()
    return {
        "name": "original",
        "recipe": [],
        "bytes": size,
        "zip_bytes": verdict and verdict["zip_bytes"],
        "loss": 0.0,
        "chosen": False,
        "accepted": True,
        "why_not": "",
        "seconds": 0.0,
        "encodings": {},
        "verdict": verdict,
    }


def _beside(candidates: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the verdict to take the original's figures from: of the model that ships, else of the first timed one."""
    judged = [c["verdict"] for c in sorted(candidates, key=lambda c: not c["chosen"]) if c["verdict"]]
    timed = (verdict for verdict in judged if verdict["original_warm_ms"] is not None)
    return next(timed, judged[0] if judged else None)


def _model_start(
    chosen: Mapping[str, Any] | None, original: Mapping[str, Any] | None, threads: int
) -> dict[str, Any] | None:
    """Return the start of the model that ships, without a bundle around it, and of the original; None if not timed.

    With one thread the gate counts the processor's time, with more the clock's, see ``coldpress.gate.run.Engine``.
    """
    steps = _start_steps(chosen)
    if steps is None:
        return None
    return {"steps": steps, "original": _start_steps(original), "clock": "processor" if threads == 1 else "wall"}


def _start_steps(verdict: Mapping[str, Any] | None) -> dict[str, float] | None:
    if verdict is None or verdict["cold_ms"] is None or verdict["first_ms"] is None:
        return None
    first = verdict["first_ms"]
    return {"engine_and_model_ms": max(0.0, verdict["cold_ms"] - first), "first_answer_ms": first}
