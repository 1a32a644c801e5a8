"""How quickly servers answer many callers: a round starts every one in turn, so that noise falls on all of them."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, TOLERANCE, Case
from benchmarks.fallback.arms import TITLES, Asked, endpoint, peers
from benchmarks.serve.load import Load, callers, first_answer
from benchmarks.serve.run import insist, spread, started
from coldpress.console import say
from coldpress.reference import Reference
from tests.support import minilm

__all__ = ["Effort", "in_turn", "measure_batching", "measure_servers", "short_text"]

_START_S = 120.0


@dataclass(frozen=True)
class Effort:
    """How much is measured: rounds, and seconds of load in each."""

    rounds: int = 5
    seconds: float = 3.0


def measure_servers(
    name: str, python: Path, minor: str, scratch: Path, effort: Effort, *, clients: int, threads: int
) -> dict[str, Any]:
    """Measure the endpoint with ``threads``, and every peer with one, on a model of ``benchmarks.cases``."""
    case = CASES[name]()
    arms, missing = peers(case, python, minor, scratch)
    server = endpoint(case, python, minor, scratch / "coldpress", threads=threads)
    arms = {"coldpress": Asked(server, "/predict", case.request.body), **arms}
    figures, broken = in_turn(arms, case, effort, clients)
    return {
        "title": case.title,
        "clients": clients,
        "threads": threads,
        "arms": {name: {"title": TITLES[name]} | found for name, found in figures.items()},
        "missing": {TITLES[name]: why for name, why in (missing | broken).items()},
    }


def measure_batching(python: Path, minor: str, scratch: Path, effort: Effort, *, clients: int) -> dict[str, Any]:
    """Measure the endpoint with batches and without, on MiniLM with short texts."""
    case, body = short_text()
    arms = {}
    for arm, most in (("batches", None), ("one by one", 1)):
        settings = {} if most is None else {"MAX_BATCH": most}
        server = endpoint(case, python, minor, scratch / "coldpress", **settings)
        arms[arm] = Asked(server, f"/v2/models/{case.name}/infer", body)
    figures, broken = in_turn(arms, case, effort, clients)
    if broken:
        raise SystemExit(str(broken))
    return {"title": case.title, "clients": clients, "arms": figures}


def short_text() -> tuple[Case, bytes]:
    """Return MiniLM in float32 with a sentence, and the request: numbers in JSON, the 3,000 of the answer raw."""
    feeds, model = minilm.encode(["The cat sat on the mat, and the dog looked on."]), minilm.model()
    case = Case("minilm", "MiniLM in float32, texts of 15 tokens", model, feeds, False, Reference(model).run(feeds))
    inputs = [
        {"name": name, "datatype": "INT64", "shape": list(value.shape), "data": value.ravel().tolist()}
        for name, value in feeds.items()
    ]
    return case, json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()


def in_turn(
    arms: Mapping[str, Asked], case: Case, effort: Effort, clients: int, tolerance: float = TOLERANCE
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Start every arm in turn, and load it with ``clients`` callers.

    Returns:
        Every arm's figures, and why those have none that did not start.
    """
    loads: dict[str, list[Load]] = {name: [] for name in arms}
    memory: dict[str, list[float]] = {name: [] for name in arms}
    broken: dict[str, str] = {}
    for number in range(effort.rounds):
        for name, arm in arms.items():
            if name in broken:
                continue
            with started(arm.server) as running:
                try:
                    content = first_answer(running.port, arm.path, arm.body, _START_S)
                    insist(case, name, arm.read(content, case.expected), tolerance)
                    callers(running.port, arm.path, arm.body, clients, 0.5)
                    loads[name].append(callers(running.port, arm.path, arm.body, clients, effort.seconds))
                except (OSError, ValueError) as error:
                    broken[name] = f"{error}; it says: {running.log()[-300:].strip()}"
                    if name == "coldpress":
                        raise SystemExit(broken[name]) from error
                    continue
                memory[name].append(running.memory_mb())
        say(f"    round {number + 1}/{effort.rounds}")
    figures = {
        name: {
            "per_second": spread([load.per_second for load in each]),
            "p50_ms": spread([load.p50_ms for load in each]),
            "p99_ms": spread([load.p99_ms for load in each]),
            "memory_mb": statistics.median(memory[name]),
        }
        for name, each in loads.items()
        if each
    }
    return figures, broken
