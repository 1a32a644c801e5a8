"""Everything that makes a model smaller: `coldpress shrink` as a user types it, and the other tools."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shrink.cases import Case, Goal
from benchmarks.shrink.samples import Samples
from coldpress.reference import Reference

__all__ = ["PEERS", "Made", "Peer", "hand_over", "run_peer", "shrink"]

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 600


@dataclass(frozen=True)
class Peer:
    """Another tool, and the environment it lives in: a folder of `.tools`, or None for the project's own."""

    title: str
    environment: str | None = None

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        home = ROOT / ".tools" / self.environment / "bin" / "python" if self.environment else Path(sys.executable)
        return home.absolute()

    @property
    def missing(self) -> str:
        """Why there is no such environment, or nothing when there is."""
        if self.python.exists():
            return ""
        why = ROOT / ".tools" / f"{self.environment}.why"
        lines = why.read_text(encoding="utf-8").split("\n") if why.exists() else []
        return "not installed: " + next((line.strip() for line in lines if line.strip()), "run `make peers`")


PEERS = {
    "dynamic": Peer("quantize_dynamic"),
    "static": Peer("quantize_static"),
    "onnxslim": Peer("onnxslim", "bench-shrink-simplify"),
    "onnxsim": Peer("onnxsim", "bench-shrink-simplify"),
    "olive": Peer("Olive auto-opt", "bench-shrink-olive"),
    "neural-compressor": Peer("neural-compressor", "bench-shrink-tune"),
}


@dataclass(frozen=True)
class Made:
    """What came of it: a file, or the reason why there is none.

    Attributes:
        account: What `coldpress shrink --json` said.
    """

    path: Path | None
    seconds: float
    error: str = ""
    account: dict[str, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Of the file and of the data beside it."""
        if self.path is None:
            return 0
        return sum(file.stat().st_size for file in (self.path, *self.path.parent.glob("*.data")))


def shrink(case: Case, goal: Goal, files: dict[str, Path], floor_mb: float, out: Path) -> Made:
    """Run `coldpress shrink` in a process of its own.

    Args:
        case: The model.
        goal: What it must reach.
        files: `evaluation` and `calibration`, as `samples.write` wrote them.
        floor_mb: Peak of a process that opens an empty model.
        out: A folder for the model and the report.
    """
    out.mkdir(parents=True)
    made = out / "model.onnx"
    command = [sys.executable, "-m", "coldpress", "shrink", str(case.model()), "-o", str(made), "--json"]
    command += ["--samples", str(files["evaluation"]), "--calibration", str(files["calibration"])]
    command += ["--metric", goal.metric_name, "--max-drop", str(goal.max_drop), *goal.options]
    command += ["--max-slowdown", str(goal.slowdown), "--time-limit", str(goal.time_limit_s)]
    if goal.above_floor_mb is not None:
        command += ["--max-peak-mb", str(int(floor_mb + goal.above_floor_mb))]
    if case.settings:
        (out / "coldpress.toml").write_text(case.settings, encoding="utf-8")
        command += ["--config", str(out / "coldpress.toml")]
    started = time.perf_counter()
    done = _call(command, {})
    seconds = time.perf_counter() - started
    if "invalid choice: 'shrink'" in done.stderr:
        return Made(None, seconds, "coldpress shrink: not available")
    if done.returncode or not made.exists():
        return Made(None, seconds, _last(done))
    return Made(made, seconds, account=json.loads(done.stdout))


def hand_over(case: Case, original: Reference, calibration: Samples, folder: Path) -> None:
    """Write what `peer.py` reads: calibration requests one by one, and the metric with their labels."""
    folder.mkdir(parents=True, exist_ok=True)
    requests = calibration.alone(original.run)
    arrays = {f"{i}|{name}": value for i, row in enumerate(requests) for name, value in row.items()}
    np.savez(folder / "calibration.npz", **arrays)
    metric = {"metric": case.goals[0].checks[0].metric, "labels": np.asarray(calibration.labels).tolist()}
    (folder / "metric.json").write_text(json.dumps(metric), encoding="utf-8")


def run_peer(name: str, model: Path, work: Path, out: Path) -> Made:
    """Run another tool in a process of its own; `work` is what `hand_over` filled."""
    peer = PEERS[name]
    if peer.missing:
        return Made(None, 0.0, peer.missing)
    out.mkdir(parents=True)
    made = out / "model.onnx"
    own = {"PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "packager", "handlers"))}
    command = [str(peer.python), "-W", "ignore", str(Path(__file__).with_name("peer.py")), name, str(model)]
    started = time.perf_counter()
    done = _call([*command, str(made), str(work)], own | {"OLIVE_DISABLE_TELEMETRY": "1", "ORT_DISABLE_TELEMETRY": "1"})
    seconds = time.perf_counter() - started
    if done.returncode or not made.exists():
        return Made(None, seconds, _last(done) if done.returncode else "ended without a model")
    return Made(made, seconds)


def _call(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"did not end within {TIMEOUT_S} s")


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    return (lines or [f"ended with exit code {done.returncode}"])[-1][:300]
