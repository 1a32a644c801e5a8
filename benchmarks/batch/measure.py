"""One process and those that it starts: how long it took, and what they held of memory at their peaks."""

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Usage", "measured"]

_POLL_S = 0.05


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        peak_mb: the sum of all its processes' largest resident memory (VmHWM), in MB (10^6 bytes).
        printed: the JSON object that it printed.
    """

    seconds: float
    peak_mb: float
    printed: Mapping[str, Any]


def measured(command: Sequence[object], environment: Mapping[str, str] | None = None) -> Usage:
    """Run ``command`` to its end; raises CalledProcessError when it fails."""
    peaks: dict[int, float] = {}
    start = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_S):
            for pid in _family(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), _peak(pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    out, err = process.communicate()
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, err)
    return Usage(seconds, sum(peaks.values()), json.loads(out))


def _family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found = [pid]
    for each in found:
        try:
            threads = list(Path(f"/proc/{each}/task").iterdir())
            children = " ".join((thread / "children").read_text() for thread in threads)
        except OSError:  # it has ended
            continue
        found.extend(map(int, children.split()))
    return found


def _peak(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)
