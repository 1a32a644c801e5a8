"""Run the benchmark: every model through `coldpress shrink` and every other tool, then all files through one judge."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.run import machine
from benchmarks.shrink import measure
from benchmarks.shrink.cases import CASES, Case
from benchmarks.shrink.samples import write
from benchmarks.shrink.tools import PEERS, Made, hand_over, run_peer, shrink
from coldpress.binding import onnxruntime
from coldpress.bundle.wheels import engine_library
from coldpress.cache import cache_dir
from coldpress.console import say
from coldpress.errors import ModelError
from coldpress.machine import own_architecture
from coldpress.reference import Reference

__all__ = ["run"]


def run(names: Sequence[str], peers: Sequence[str]) -> dict[str, Any]:
    """Measure the models ``names`` and return the document that becomes results.json."""
    library = engine_library("3.13", own_architecture(), cache_dir("wheels")).path
    started = time.perf_counter()
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "engine": onnxruntime().__version__,
        "peers": {name: PEERS[name].title for name in peers},
        "models": {},
    }
    with tempfile.TemporaryDirectory(prefix="bench-shrink-") as scratch:
        document["floor_mb"] = round(measure.floor_mb(Path(scratch), library), 1)
        for number, name in enumerate(names, 1):
            say(f"[{number}/{len(names)}] {CASES[name].title}, {time.perf_counter() - started:.0f} s so far")
            work = Path(scratch, name)
            document["models"][name] = _measure(CASES[name], peers, library, document["floor_mb"], work)
            shutil.rmtree(work)
    document["seconds"] = round(time.perf_counter() - started)
    return document


def _measure(case: Case, peers: Sequence[str], library: Path, floor: float, work: Path) -> dict[str, Any]:
    model = case.model()
    original = Reference(model)
    evaluation, calibration = case.samples(original)
    files = {
        "evaluation": write(evaluation, work, "evaluation"),
        "calibration": write(calibration, work, "calibration"),
    }
    hand_over(case, original, calibration, work / "peers")
    made = {"original": Made(model, 0.0)}
    for goal in case.goals:
        made[f"coldpress {goal.name}".strip()] = _said(shrink(case, goal, files, floor, work / f"ours-{goal.name}"))
    for name in peers:
        made[name] = _said(run_peer(name, model, work / "peers", work / name), name)
    variants = {name: _account(one) for name, one in made.items()}
    for name, one in made.items():
        if one.path:
            variants[name] |= measure.answers_of(case, one.path, evaluation)
    running = {name: one.path for name, one in made.items() if one.path and not variants[name]["error"]}
    request = evaluation.requests[0]
    for name, milliseconds in measure.speeds(running, request).items():
        variants[name]["warm_ms"] = milliseconds
    for name, path in running.items():
        try:
            variants[name] |= measure.memory(path, request, library)
        except ModelError as error:
            variants[name]["error"] = str(error)
    return {
        "title": case.title,
        "samples": len(evaluation.requests),
        "goals": [asdict(goal) for goal in case.goals],
        "variants": variants,
    }


def _said(made: Made, name: str = "coldpress shrink") -> Made:
    say(f"    {name}: {f'{made.bytes:,} bytes' if made.path else made.error} ({made.seconds:.0f} s)")
    return made


def _account(made: Made) -> dict[str, Any]:
    found: dict[str, Any] = {"bytes": made.bytes, "seconds": round(made.seconds, 1), "error": made.error}
    if made.account:
        found |= {key: made.account[key] for key in ("recipe", "notes") if key in made.account}
        found["quality"] = made.account.get("quality", {}).get("verdict")
    return found
