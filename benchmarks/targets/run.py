"""Measure every target: a round starts each function and its provider's empty one, now this one first and now that."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.arms import pack, sizes
from benchmarks.cases import CASES, Case
from benchmarks.run import machine
from coldpress.cache import cache_dir
from coldpress.console import say, track
from coldpress.emulate import alibaba_events, events
from coldpress.emulate.clients import client
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import choose_interpreter, unpacked
from coldpress.errors import EmulateError
from coldpress.measure import Sample, Spread, empty_function, sample
from coldpress.targets import TARGETS

__all__ = ["run"]

CALLS = 400
"""Warm answers of one fresh process."""
ENGINE = ("library_ms", "session_ms", "warmup_ms")
"""The steps of a start that are the engine's."""
_WARM = Path(__file__).with_name("warm.py")
_LEAST_AZURE = "3.13"


@dataclass(frozen=True)
class _Built:
    """A target's function, unpacked, the empty one beside it, and the interpreter of both."""

    target: str
    folder: Path
    empty: Path
    python: Path
    minor: str


def run(names: Sequence[str], rounds: int) -> dict[str, Any]:
    """Measure the targets ``names`` with the digits model; return the document that becomes results.json."""
    case = CASES["digits"]()
    scratch = Path(tempfile.mkdtemp(dir=cache_dir("bench")))
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "rounds": rounds,
        "calls": CALLS,
        "targets": {},
    }
    try:
        with ExitStack() as stack:
            built = []
            for name in names:
                say(f"{name}: packing")
                pack(case, "", scratch / name, name)
                folder = stack.enter_context(unpacked(scratch / name))
                empty = stack.enter_context(empty_function(name, folder))
                built.append(_Built(name, folder, empty, *choose_interpreter(folder, None)))
            starts = _starts(built, case.request, rounds)
            for each in built:
                say(f"{each.target}: warm answers")
                title = TARGETS[each.target].title
                figures = {"title": title, "python": each.minor, "bytes": asdict(sizes(each.folder))}
                document["targets"][each.target] = figures | starts[each.target] | _warm(each, case, rounds, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return document


def _starts(built: Sequence[_Built], request: HttpRequest, rounds: int) -> dict[str, dict[str, Any]]:
    """Start everything once a round; the first round only warms the page cache."""
    samples: dict[str, list[tuple[Sample, Sample]]] = {each.target: [] for each in built}
    for number in track(range(rounds + 1), f"{rounds} rounds of {len(built)} targets", rounds + 1):
        for place in range(len(built)):
            each = built[(place + number) % len(built)]  # nobody always follows the same neighbour
            order = (each.empty, each.folder) if number % 2 else (each.folder, each.empty)
            pair = {folder: sample(folder, request, python=each.python) for folder in order}
            if number:
                samples[each.target].append((pair[each.empty], pair[each.folder]))
    return {target: _of_starts(pairs) for target, pairs in samples.items()}


def _of_starts(pairs: Sequence[tuple[Sample, Sample]]) -> dict[str, Any]:
    above = [ours.init_ms - empty.init_ms for empty, ours in pairs]
    engine = [sum(ours.steps[name] for name in ENGINE) for _, ours in pairs]
    figures = {
        "empty_init_ms": [empty.init_ms for empty, _ in pairs],
        "init_ms": [ours.init_ms for _, ours in pairs],
        "engine_ms": engine,
        "own_start_ms": [one - other for one, other in zip(above, engine, strict=True)],
        "cold_ms": [ours.init_ms + ours.first_ms for _, ours in pairs],
        "cold_above_empty_ms": [ours.init_ms + ours.first_ms - empty.init_ms - empty.first_ms for empty, ours in pairs],
    }
    return {name: asdict(Spread.of(values)) for name, values in figures.items()}


def _warm(built: _Built, case: Case, rounds: int, scratch: Path) -> dict[str, Any]:
    """Time warm answers, in fresh processes; a container's over HTTP as well."""
    asked = scratch / "asked.json"
    asked.write_text(json.dumps(_asked(built.target, case.request)))
    processes = [_warm_process(built, asked, scratch) for _ in range(max(3, rounds // 2))]
    figures = {name: asdict(Spread.of([each[name] for each in processes])) for name in processes[0]}
    if TARGETS[built.target].server:
        figures |= _over_http(built, case.request, figures["service_ms"]["median"])
    return figures


def _asked(target: str, request: HttpRequest) -> dict[str, Any]:
    """Return the request as every adapter's runtime needs it."""
    event: Any = ""
    if target == "aws":
        event = json.dumps(events.make_event("http-api", request))
    elif target == "alibaba":
        event = alibaba_events.make_event("http", request, "1-local").decode()
    headers = request.all_headers()
    return {"method": request.method, "path": request.path, "headers": headers, "body": request.body.decode(),
            "event": event}  # fmt: skip


def _warm_process(built: _Built, asked: Path, scratch: Path) -> dict[str, float]:
    out = scratch / "warm.json"
    packages = []
    if built.target in {"gcp", "azure"}:  # AWS's and Alibaba's hand over plain values, and a container has its own
        minor = max(built.minor, _LEAST_AZURE) if built.target == "azure" else None
        packages = [client(built.target, built.python, minor)]
    command = [built.python, "-I", "-S", "-B", _WARM, built.target, built.folder, asked, str(CALLS), out, *packages]
    with (scratch / "warm.log").open("wb") as log:  # where the function's own log goes
        done = subprocess.run(command, stdout=log, stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        raise EmulateError(f"{built.target} was not measured: {done.stderr.strip()[-500:]}")
    return dict(json.loads(out.read_text()))


def _over_http(built: _Built, request: HttpRequest, service_ms: float) -> dict[str, Any]:
    """Time answers over one connection, beside the empty application's under the same server."""
    ours, empty = [], []
    with start(built.folder, python=built.python) as one, start(built.empty, python=built.python) as other:
        for number in range(CALLS + 50):
            pair = one.call(request).ms, other.call(request).ms
            if number >= 50:
                ours.append(pair[0])
                empty.append(pair[1])
    above = [a - b - service_ms for a, b in zip(ours, empty, strict=True)]
    figures = {"http_ms": ours, "empty_http_ms": empty, "above_empty_http_ms": above,
               "http_added_ms": [a - service_ms for a in ours]}  # fmt: skip
    return {name: asdict(Spread.of(values)) for name, values in figures.items()}
