"""One process and those that it starts: how long it took, and what they held of memory together at the peak."""

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.processes import family

__all__ = ["Usage", "measured"]


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        peak_mb: what all its processes held together at one moment at most, in MB (10^6 bytes); what they share counts
            once (the proportional set size of Linux).
        printed: the JSON object that it printed.
    """

    seconds: float
    peak_mb: float
    printed: Mapping[str, Any]


def measured(command: Sequence[object], environment: Mapping[str, str] | None = None, *, poll_s: float = 0.05) -> Usage:
    """Run ``command`` to its end, and look at its memory every ``poll_s``; raises CalledProcessError when it fails."""
    peak = 0.0
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(poll_s):
            peak = max(peak, sum(map(_held, family(process.pid))))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, err)
    return Usage(seconds, peak, json.loads(out))


def _held(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:")), 0.0)
