"""What the door adds to a direct call of the endpoint: the same question by both ways, in turn, over kept connections.

What comes on top is all that makes it a door: the deadline, the breaker, the cap, checked addresses, and the answer
held against the model's signature.
"""

import http.client
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.cases import CASES
from benchmarks.fallback.arms import endpoint
from benchmarks.fallback.doors import door_to, question, rows
from benchmarks.serve.load import first_answer
from benchmarks.serve.run import spread, started

__all__ = ["measure_door"]


def measure_door(python: Path, minor: str, scratch: Path, rounds: int, asks: int) -> dict[str, Any]:
    """Ask the endpoint ``asks`` times by either way in each of the rounds, and return what the door adds, in ms."""
    case = CASES["digits"]()
    server = endpoint(case, python, minor, scratch / "coldpress")
    figures: dict[str, list[float]] = {"direct_ms": [], "door_ms": [], "added_ms": [], "added_p99_ms": []}
    with started(server) as running:
        first_answer(running.port, "/predict", case.request.body, 60.0)
        asked = question(rows()[0])
        door = door_to(running.port)
        direct = http.client.HTTPConnection("127.0.0.1", running.port)
        for _ in range(rounds):
            times: dict[str, list[float]] = {"direct": [], "door": []}
            for number in range(asks):
                for way in ("direct", "door") if number % 2 else ("door", "direct"):
                    begun = time.perf_counter()
                    if way == "door":
                        status = door.ask(asked, begun + 10.0).status
                    else:
                        direct.request("POST", asked.path, asked.body, asked.headers)
                        response = direct.getresponse()
                        response.read()
                        status = response.status
                    times[way].append((time.perf_counter() - begun) * 1e3)
                    if status != 200:
                        raise SystemExit(f"{way} was answered {status}")
            ordered = {way: sorted(each) for way, each in times.items()}
            p99 = {way: each[int(len(each) * 0.99)] for way, each in ordered.items()}
            figures["direct_ms"].append(median(times["direct"]))
            figures["door_ms"].append(median(times["door"]))
            figures["added_ms"].append(median(times["door"]) - median(times["direct"]))
            figures["added_p99_ms"].append(p99["door"] - p99["direct"])
        door.close()
        direct.close()
    return {"asks": asks, **{name: spread(each) for name, each in figures.items()}}
