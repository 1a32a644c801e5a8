"""Run the parts of the benchmark, each into its own place of the document that becomes results.json."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fallback.faults import measure_faults
from benchmarks.fallback.latency import measure_door
from benchmarks.fallback.mnist import measure_cascade
from benchmarks.fallback.rates import Effort, measure_batching, measure_servers
from benchmarks.fallback.weights import measure as measure_weights
from benchmarks.run import machine
from benchmarks.serve.arms import interpreter
from coldpress.binding import onnxruntime
from coldpress.cache import cache_dir
from coldpress.console import say

__all__ = ["PARTS", "run"]

_GPU = Path(__file__).with_name("gpu.json")


def _door(python: Path, minor: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_door(python, minor, scratch, *((1, 300) if quick else (7, 1500)))


def _digits(python: Path, minor: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_servers("digits", python, minor, scratch, _effort(quick), clients=16, threads=1)


def _magika(python: Path, minor: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_servers("magika", python, minor, scratch, _effort(quick), clients=16, threads=2)


def _batching(python: Path, minor: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_batching(python, minor, scratch, _effort(quick), clients=32)


def _cascade(_: Path, __: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_cascade(scratch, 1 if quick else 5)


def _faults(python: Path, minor: str, scratch: Path, quick: bool) -> dict[str, Any]:
    return measure_faults(python, minor, scratch, 1000 if quick else 10_000)


def _weights(_: Path, __: str, ___: Path, quick: bool) -> dict[str, Any]:
    return measure_weights(1) if quick else measure_weights()


def _effort(quick: bool) -> Effort:
    return Effort(1, 1.0) if quick else Effort()


PARTS: dict[str, Callable[[Path, str, Path, bool], dict[str, Any]]] = {
    "door": _door,
    "digits": _digits,
    "magika": _magika,
    "batching": _batching,
    "cascade": _cascade,
    "faults": _faults,
    "weights": _weights,
}
"""What can be measured by itself: given the interpreter, its minor version, a folder and whether to be quick."""


def run(names: Sequence[str], *, quick: bool, python: Path | None = None) -> dict[str, Any]:
    """Measure the parts ``names``; the servers under ``python``."""
    python, minor = interpreter(python)
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "python": subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1],
        "engine": onnxruntime().__version__,
        "gpu": json.loads(_GPU.read_text(encoding="utf-8")) if _GPU.exists() else None,
        "parts": {},
    }
    with tempfile.TemporaryDirectory(dir=cache_dir("bench")) as scratch:
        for name in names:
            say(f"{name}:")
            place = Path(scratch, name)
            place.mkdir()
            document["parts"][name] = PARTS[name](python, minor, place, quick)
    return document
