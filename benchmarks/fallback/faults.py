"""Ten thousand questions through a proxy that breaks answers in every way it knows, and goes down for a while.

What must hold: an answer with 200 is the right one, nothing takes longer than its deadline, nothing but the door's own
errors comes out, and the breaker opens when the endpoint is down and closes when it is back.
"""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES
from benchmarks.fallback.arms import endpoint
from benchmarks.fallback.doors import door_to, question, right, rows
from benchmarks.serve.load import first_answer
from benchmarks.serve.run import started
from coldpress.reference import Reference
from coldpress_runtime.errors import ColdpressError, DoorError
from tests.support.fault_proxy import Fault, FaultProxy

__all__ = ["measure_faults"]

_THREADS = 8
_DEADLINE_S = 1.0
_OPEN_S = 0.3
_LATE_S = 0.25
"""What a thread may wait for the processor after its deadline on a busy machine, and still not count as hanging."""
_FAULTY = 0.03
_FAILURES = 40
"""So many within a second open the breaker: more than the faults that are always there, fewer than a fall brings."""
_DOWN = ((0.3, 0.4), (0.65, 0.75))
"""Of the questions, those during which the endpoint is down: every connection ends before an answer."""
_FAULTS = (
    Fault("delay", 0.05),
    Fault("reset"),
    Fault("reset-body"),
    Fault("close"),
    Fault("half-open"),
    Fault("slow-body", 0.002),
    Fault("garbage"),
    Fault("truncated"),
    Fault("length-long"),
    Fault("length-short"),
    Fault("length-bad"),
    Fault("chunk-bad"),
    Fault("gzip"),
    Fault("gzip-bad"),
    Fault("gzip-bomb", size=64 << 20),
    Fault("encoding"),
    Fault("huge", size=64 << 20),
    Fault("huge-chunked", size=64 << 20),
    Fault("redirect"),
    Fault("status", status=429, headers={"Retry-After": "0"}),
    Fault("status", status=503),
    Fault("status", status=500),
)


@dataclass
class _Seen:
    """What came of the questions."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    latest_s: float = 0.0
    states: list[str] = field(default_factory=list)
    while_down: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def measure_faults(python: Path, minor: str, scratch: Path, count: int) -> dict[str, Any]:
    """Ask ``count`` times and return what came of it."""
    case = CASES["digits"]()
    server = endpoint(case, python, minor, scratch / "coldpress")
    digits, reference = rows(), Reference(case.model)
    want = [{name: value.ravel().tolist() for name, value in reference.run({"X": row[None]}).items()} for row in digits]
    chance = random.Random(6)
    down = threading.Event()
    seen = _Seen()

    def choose(_: int) -> Fault:
        if down.is_set():
            seen.while_down += 1
            return Fault("close")
        return chance.choice(_FAULTS) if chance.random() < _FAULTY else Fault("pass")

    with started(server) as running:
        first_answer(running.port, "/predict", case.request.body, 60.0)
        with FaultProxy(("127.0.0.1", running.port), choose=choose) as proxy:
            breaker = {"failures": _FAILURES, "window_s": 1.0, "open_s": _OPEN_S}
            door = door_to(proxy.port, connect_s=0.5, concurrency=_THREADS, breaker=breaker)
            guard = door._breaker  # noqa: SLF001  (nobody else knows its state)

            def ask(number: int) -> None:
                share = number / count
                (down.set if any(low <= share < high for low, high in _DOWN) else down.clear)()
                place = number % len(digits)
                outcome = _ask(door, question(digits[place]), want[place], seen)
                if outcome.startswith(("DoorBusyError", "WakingError")):
                    time.sleep(_OPEN_S / 10)  # callers do not ask again as fast as they are refused
                with seen.lock:
                    seen.outcomes[outcome] += 1
                    if (state := guard.state) != (seen.states[-1] if seen.states else ""):
                        seen.states.append(state)

            begun = time.perf_counter()
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(ask, range(count)))
            took = time.perf_counter() - begun
            time.sleep(_OPEN_S)
            healed = _heals(door, question(digits[0]), want[0])
            arrived = len(proxy.seen)
            door.close()
    return {
        "questions": count,
        "seconds": took,
        "reached_the_proxy": arrived,
        "asked_while_down": round(count * sum(high - low for low, high in _DOWN)),
        "reached_while_down": seen.while_down,
        # What opens the breaker, what was under way by then, and a probe each time that it may be closed again.
        "may_reach_while_down": len(_DOWN) * (_FAILURES + _THREADS) + int(took / _OPEN_S),
        "outcomes": dict(seen.outcomes.most_common()),
        "wrong": len(seen.wrong),
        "crashes": seen.crashes[:5],
        "latest_ms_after_deadline": seen.latest_s * 1e3,
        "late_ms_allowed": _LATE_S * 1e3,
        "falls": len(_DOWN),
        "opened": seen.states.count("open"),
        "closed_again": healed,
    }


def _ask(door: Any, asked: Any, want: Any, seen: _Seen) -> str:
    ends = time.perf_counter() + _DEADLINE_S
    try:
        response = door.ask(asked, ends)
    except DoorError as error:
        outcome = f"{type(error).__name__} {error.status}"
    except ColdpressError as error:
        outcome = f"refused {error.status}"
    except Exception as error:  # noqa: BLE001  (that there is none is what is measured)
        with seen.lock:
            seen.crashes.append(f"{type(error).__name__}: {error}")
        outcome = "crash"
    else:
        outcome = f"answered {response.status}"
        if response.status == 200 and not right(response.body, want):
            with seen.lock:
                seen.wrong.append(outcome)
    with seen.lock:
        seen.latest_s = max(seen.latest_s, time.perf_counter() - ends)
    return outcome


def _heals(door: Any, asked: Any, want: Any) -> bool:
    """Tell whether the door answers again once the endpoint does; a fault may still meet the first tries."""
    for _ in range(40):
        try:
            if right(door.ask(asked, time.perf_counter() + _DEADLINE_S).body, want):
                return True
        except DoorError:
            time.sleep(_OPEN_S / 3)
    return False
