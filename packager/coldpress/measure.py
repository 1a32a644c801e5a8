"""How a built function starts cold: fresh processes under its provider's own runtime, an empty function beside it.

Every round starts the empty function and the one under measurement in turn, so that whatever else the machine is doing
falls on both alike; figures are medians with their ranges. Page cache warm, no limit on the CPU: what a microVM's boot
and the transfer of the zip cost is not in them, and is the same for everybody.
"""

import json
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coldpress.emulate.function import start, target_of
from coldpress.emulate.http import HttpRequest, Reply
from coldpress.emulate.process import unpacked
from coldpress.fit.sizes import kind_of
from coldpress.targets import TARGETS

__all__ = ["Measurement", "Sample", "Spread", "empty_function", "init_steps", "measure", "sample"]

WARM_CALLS = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range of some measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarise ``values``, of which there is at least one."""
        return cls(round(statistics.median(values), 3), round(min(values), 3), round(max(values), 3))


@dataclass(frozen=True, slots=True)
class Sample:
    """One fresh process.

    Attributes:
        init_ms: from the start of the process to its first request for work.
        first_ms: from the first event to its answer.
        warm_ms: the same, median of the calls after the first.
        peak_mb: largest resident memory, in 10^6 bytes.
        steps: the function's own account of its start, in ms by step; empty when it gives none.
    """

    init_ms: float
    first_ms: float
    warm_ms: float
    peak_mb: float
    steps: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A function and the empty one beside it, over ``rounds`` fresh processes each.

    Attributes:
        python: version of the interpreter, ``3.13``.
        steps: where the start goes: interpreter and runtime client, then the function's own steps; medians in ms.
        floor: the same four figures for a handler that does nothing.
    """

    rounds: int
    python: str
    init_ms: Spread
    first_ms: Spread
    warm_ms: Spread
    peak_mb: Spread
    steps: Mapping[str, float]
    floor: Mapping[str, Spread]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return asdict(self)


@contextmanager
def empty_function(target: str, beside: Path | None = None) -> Iterator[Path]:
    """Give a folder with a function that does nothing: what the provider's own runtime costs by itself.

    Args:
        target: whose function.
        beside: an unpacked bundle; where bundles bring their own server, its packages are taken from there.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-floor-") as folder:
        if TARGETS[target].server and beside is not None:
            for place in beside.iterdir():
                if kind_of(f"{place.name}/__init__.py") == "packages" and (place / "__init__.py").is_file():
                    Path(folder, place.name).symlink_to(place.resolve())
        for name, text in TARGETS[target].function_class().EMPTY.items():
            path = Path(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield Path(folder)


def init_steps(logs: str) -> dict[str, float]:
    """Find in a function's log what it says of its own start (``{"import_ms": 6.1, ...}``); empty when nothing."""
    for line in logs.splitlines():
        if not line.startswith("{"):
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue
        steps = record.get("init") if isinstance(record, dict) else None
        if isinstance(steps, dict):
            return {str(name): float(ms) for name, ms in steps.items()}
    return {}


def sample(
    folder: Path,
    request: HttpRequest,
    *,
    python: str | Path | None = None,
    memory_mb: int = 1024,
    warm_calls: int = WARM_CALLS,
    check: Callable[[Reply], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Sample:
    """Start the function in ``folder`` once and time its start, its first answer, and ``warm_calls`` more.

    Args:
        folder: the function, unpacked.
        request: what it is sent, each time.
        python: the interpreter; None as for `start`.
        memory_mb: what the function is told it has.
        warm_calls: answers after the first.
        check: gets the first and the last answer, and raises when one is wrong.
        environment: further variables for the function.

    Raises:
        EmulateError: it does not start, or an invocation fails.
    """
    with start(folder, python=python, memory_mb=memory_mb, environment=environment) as function:
        first = function.call(request)
        later = [function.call(request) for _ in range(warm_calls)]
        peak_mb, logs = function.peak_mb, function.logs()
        init_ms = function.init_ms
    if check is not None:
        check(first.reply)
        check(later[-1].reply)
    return Sample(init_ms, first.ms, statistics.median(call.ms for call in later), peak_mb, init_steps(logs))


def measure(
    build: str | Path,
    request: HttpRequest,
    *,
    rounds: int = 10,
    python: str | Path | None = None,
    memory_mb: int = 1024,
    check: Callable[[Reply], None] | None = None,
    track: Callable[[Iterator[int]], Iterator[int]] = iter,
) -> Measurement:
    """Measure the function of ``build`` and, between its rounds, the empty one.

    Args:
        build: what ``coldpress pack`` wrote, a zip, or an unpacked function.
        request: what it is sent, the same each time.
        rounds: fresh processes of each; one more of each goes first and is not counted.
        python: the interpreter; None as for `start`.
        memory_mb: what the function is told it has.
        check: gets answers and raises when one is wrong.
        track: wraps the rounds, to show progress.

    Raises:
        EmulateError: the function does not start, or an invocation fails.
    """
    ours: list[Sample] = []
    floor: list[Sample] = []
    with unpacked(build) as folder, empty_function(target_of(folder), folder) as empty:
        with start(folder, python=python, memory_mb=memory_mb) as function:
            python, minor = function.python, function.minor
        for number in track(iter(range(rounds + 1))):
            bare = sample(empty, HttpRequest(), python=python, memory_mb=memory_mb)
            one = sample(folder, request, python=python, memory_mb=memory_mb, check=check)
            if number:  # the first pair only warms the page cache
                floor.append(bare)
                ours.append(one)
    return Measurement(rounds=rounds, python=minor, steps=_steps(ours), floor=_spreads(floor), **_spreads(ours))


def _spreads(samples: Sequence[Sample]) -> dict[str, Spread]:
    names = ("init_ms", "first_ms", "warm_ms", "peak_mb")
    return {name: Spread.of([getattr(each, name) for each in samples]) for name in names}


def _steps(samples: Sequence[Sample]) -> dict[str, float]:
    names = [name for name in samples[0].steps if name != "total_ms"]
    own = {name: statistics.median(each.steps.get(name, 0.0) for each in samples) for name in names}
    rest = statistics.median(each.init_ms - sum(each.steps.get(name, 0.0) for name in names) for each in samples)
    return {name: round(ms, 2) for name, ms in ({"interpreter_ms": rest} | own).items()} if own else {}
