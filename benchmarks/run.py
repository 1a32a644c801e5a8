"""Run the benchmark: a round starts each arm once, in turn, so that what else the machine does falls on all alike."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arms import ARMS, ROOT, build, pack, sizes
from benchmarks.cases import CASES, Case, read_outputs
from coldpress.cache import cache_dir
from coldpress.console import say, track
from coldpress.emulate.clients import python_minor
from coldpress.emulate.http import Reply
from coldpress.errors import EmulateError
from coldpress.measure import Sample, sample
from coldpress.reference import Reference

__all__ = ["machine", "run"]


def run(names: Sequence[str], arm_names: Sequence[str], rounds: int, python: Path) -> dict[str, Any]:
    """Measure ``arm_names`` on the models ``names`` and return the document that becomes results.json."""
    minor = python_minor(python)
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "python": _version_of(python),
        "engine": _engine_version(),
        "rounds": rounds,
        "models": {},
    }
    scratch = Path(tempfile.mkdtemp(dir=cache_dir("bench")))  # beside the wheels, so that they can be linked
    try:
        for name in names:
            say(f"{name}: building {', '.join(arm_names)}")
            case = CASES[name]()
            document["models"][name] = _measure(case, arm_names, rounds, python, minor, scratch / name)
        if "magika" in names and "coldpress" in arm_names:
            say("magika: packing it again, with a warm cache")
            document["pack_magika_s"] = _pack_times(CASES["magika"](), minor, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return document


def _measure(
    case: Case, arm_names: Sequence[str], rounds: int, python: Path, minor: str, scratch: Path
) -> dict[str, Any]:
    arms: dict[str, dict[str, Any]] = {}
    answers: dict[str, dict[str, Any]] = {}
    for name in arm_names:
        folder = scratch / name
        arms[name] = {"title": ARMS[name].title}
        build(ARMS[name], case, python, minor, folder)
        arms[name]["bytes"] = asdict(sizes(folder))
        try:
            answers[name] = _first_answer(case, folder, python, name)
        except EmulateError as error:
            arms[name]["unsupported"] = str(error)[:300]
    running = [name for name in arm_names if name in answers]
    samples: dict[str, list[Sample]] = {name: [] for name in running}
    bare: list[float] = []
    for number in track(range(rounds + 1), f"{case.name}: {rounds} rounds of {len(running)} arms", rounds + 1):
        for place in range(len(running)):
            name = running[(place + number) % len(running)]  # nobody always follows the same neighbour
            one = sample(scratch / name, case.request, python=python)
            if number:  # the first round only warms the page cache
                samples[name].append(one)
        if number and "coldpress" in running:
            bare.append(_bare(scratch / "coldpress", case, python))
    for name in running:
        arms[name] |= _figures(samples[name], samples, name)
        if name not in {"floor", "coldpress"}:
            arms[name]["answers"] = "as the original's, within 1e-3"
    if bare:
        ours, floor = samples["coldpress"], samples["floor"]
        over = [a.warm_ms - b.warm_ms - c for a, b, c in zip(ours, floor, bare, strict=True)]
        arms["coldpress"] |= {"bare_run_ms": _spread(bare), "warm_over_bare_ms": _spread(over)}
        arms["coldpress"]["answers"] = _exact(case, scratch / "coldpress", answers["coldpress"])
        names = ours[0].steps
        arms["coldpress"]["steps_ms"] = {
            step: round(statistics.median(each.steps[step] for each in ours), 2) for step in names
        }
    return {"title": case.title, "model_bytes": case.model.stat().st_size, "arms": arms}


def _first_answer(case: Case, folder: Path, python: Path, name: str) -> dict[str, Any]:
    """Start an arm once and check its answer; EmulateError when it cannot run this model or answers something else."""
    kept: list[Reply] = []
    sample(folder, case.request, python=python, warm_calls=1, check=kept.append)
    if name == "floor":
        return {}
    try:
        outputs = read_outputs(kept[-1], case.expected)
        case.check(name, outputs)
    except (ValueError, KeyError) as error:
        raise EmulateError(str(error)) from None
    return outputs


def _exact(case: Case, folder: Path, outputs: dict[str, Any]) -> str:
    """Compare coldpress's answer with the plain binding's on the very file in the bundle, bit for bit."""
    manifest = json.loads((folder / "coldpress.json").read_text())
    model = manifest["model"]
    binding = Reference(folder / model["path"], threads=manifest["threads"], optimization=model["optimization"])
    expected = binding.run(case.feeds)
    same = all(np.array_equal(outputs[name], expected[name]) for name in expected)
    return "equal to the binding's, bit for bit" if same else "NOT equal to the binding's"


def _bare(folder: Path, case: Case, python: Path) -> float:
    """Median of 20 bare `Session.run` in a fresh process, by the engine in the bundle, in ms."""
    program = Path(__file__).with_name("bare.py")
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **case.feeds)
        done = subprocess.run(
            [python, "-I", "-S", "-B", program, folder, file.name], stdout=subprocess.PIPE, check=True, text=True
        )
    return float(done.stdout)


def _figures(own: list[Sample], everybody: dict[str, list[Sample]], name: str) -> dict[str, Any]:
    figures: dict[str, Any] = {
        key: _spread([getattr(each, key) for each in own]) for key in ("init_ms", "first_ms", "warm_ms", "peak_mb")
    }
    if name == "floor" or "floor" not in everybody:
        return figures
    above = _above(own, everybody["floor"])
    figures["above_floor_ms"] = _spread(above)
    for other in ("naive", "expert"):
        if other in everybody and other != name:
            theirs = _above(everybody[other], everybody["floor"])
            figures[f"of_{other}"] = _spread([a / b for a, b in zip(above, theirs, strict=True)])
    if "naive" in everybody and name != "naive":
        peaks = zip(own, everybody["naive"], strict=True)
        figures["peak_of_naive"] = _spread([a.peak_mb / b.peak_mb for a, b in peaks])
    return figures


def _above(own: list[Sample], floor: list[Sample]) -> list[float]:
    """Give init and first answer together, less the empty handler's of the same round, in ms."""
    return [a.init_ms + a.first_ms - b.init_ms - b.first_ms for a, b in zip(own, floor, strict=True)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    digits = 3
    return {
        "median": round(statistics.median(values), digits),
        "low": round(min(values), digits),
        "high": round(max(values), digits),
    }


def _pack_times(case: Case, minor: str, scratch: Path) -> dict[str, float]:
    times = []
    for number in range(4):  # the first fills the caches
        started = time.perf_counter()
        pack(case, minor, scratch / "pack")
        if number:
            times.append(time.perf_counter() - started)
    return _spread(times)


def machine() -> dict[str, Any]:
    """Say what this machine is: processor, instruction sets, cores, kernel, memory."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", facts.get("Features", "")).split())
    known = ("avx2", "avx512f", "avx512_vnni", "amx_int8", "asimd", "sve")
    return {
        "cpu": facts.get("model name", platform.machine()),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "instruction_sets": [flag for flag in known if flag in flags],
        "kernel": platform.release().split("-")[0],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
    }


def _version_of(python: Path) -> str:
    question = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-I", "-c", question], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def _engine_version() -> str:
    lock = (ROOT / "requirements" / "bench-naive.txt").read_text()
    return next(line.split("==")[1].split()[0] for line in lock.splitlines() if line.startswith("onnxruntime=="))
