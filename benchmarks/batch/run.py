"""Measures: every arm in a fresh process, in turn, on the same files."""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.batch import data
from benchmarks.batch.hooks.opennsfw import preprocess
from benchmarks.batch.measure import Usage, measured
from benchmarks.run import machine
from coldpress.config import Config, FunctionConfig, ModelConfig
from coldpress.console import progress
from coldpress.pack import execute
from coldpress.plan import make_plan
from coldpress_runtime.http import Request
from tests.support import models
from tests.support.batch_kill import survive
from tests.support.batch_kill.servers import bucket
from tests.support.tiny import write_bundle

__all__ = ["CASES", "PARTS", "run"]

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".tools" / "bench-batch" / "bin" / "python"
SCRIPTS = Path(__file__).with_name("peers.py")
HOOKS = Path(__file__).with_name("hooks") / "opennsfw.py"
CASES = {
    "csv": ("pandas", "pandas-chunks", "polars", "polars-streaming"),
    "arrays": ("json-lines", "orjson-lines"),
    "named": ("json-lines", "orjson-lines", "pandas-lines"),
}
"""The tables, and the scripts that score them."""
ROWS = {"csv": 1_000_000, "arrays": 200_000, "named": 200_000}
PICTURES = 1000
SIZES_MB = (1, 16, 128, 512, 2048)
PARTS = ("tables", "pictures", "memory", "kills")
_LABELS = ("--outputs", "label,probabilities")


def run(scale: float, rounds: int, parts: Sequence[str] = PARTS) -> dict[str, Any]:
    """Measure; ``scale`` shrinks the files, for a trial, and ``parts`` are those of ``PARTS`` that are wanted."""
    with tempfile.TemporaryDirectory(prefix="coldpress-bench-") as folder:
        scratch = Path(folder)
        _keep_bytecode(scratch / "bytecode")
        digits = models.fetch("digits_mlp")
        build = _pack(digits, scratch / "digits")

        def tables() -> dict[str, Any]:
            rows = {name: max(2000, int(ROWS[name] * scale)) for name in CASES}
            return {name: _table(name, rows[name], digits, build, scratch, rounds) for name in CASES}

        measures: dict[str, Callable[[], Any]] = {
            "tables": tables,
            "pictures": lambda: _pictures(models.fetch("opennsfw"), max(20, int(PICTURES * scale)), scratch, rounds),
            "memory": lambda: list(_memory(build, scratch, scale)),
            "kills": lambda: _kills(scratch, max(2, int(50 * scale))),
        }
        found = {part: measures[part]() for part in parts}
    return {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "rounds": rounds, **found}


def _pack(model: Path, out: Path, hooks: Path | None = None) -> Path:
    requirements = ("numpy", "pillow") if hooks else ()
    python = f"3.{sys.version_info.minor}" if sys.version_info >= (3, 12) else "3.13"
    config = Config(
        model=ModelConfig(source=model, name=out.name),
        function=FunctionConfig(hooks=hooks, requirements=requirements, python=python),
    )
    execute(make_plan(config, "aws", out))
    return out


def _keep_bytecode(folder: Path) -> None:
    """Have every interpreter that is started keep its bytecode, as it does on people's machines."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def _score(source: Path, out: Path, build: Path, *more: object, **how: Any) -> Usage:
    out.unlink(missing_ok=True)
    flags = ("--bundle", build, "--overwrite", "--json", *more)
    return measured([sys.executable, "-m", "coldpress", "score", source, out, *flags], **how)


def _peer(name: str, model: Path, source: Path, out: Path, python: Path = PEERS) -> Usage:
    return measured([python, SCRIPTS, name, model, source, out])


def _table(name: str, rows: int, model: Path, build: Path, scratch: Path, rounds: int) -> dict[str, Any]:
    suffix, target = ("csv", "csv") if name == "csv" else ("jsonl", "jsonl")
    source, out = scratch / f"{name}.{suffix}", scratch / f"{name}.out.{target}"
    few = scratch / f"{name}.few.{suffix}"
    with progress(f"write {rows:,} rows for {name}"):
        for path, count in ((source, rows), (few, min(rows, 2000))):
            if name == "csv":
                data.csv_table(path, count)
            else:
                data.json_lines(path, count, named=name == "named")
    columns = ("--columns", ",".join(data.COLUMNS)) if name == "named" else ()

    def ours(source: Path, workers: int) -> Usage:
        return _score(source, out, build, "--workers", workers, "--format", target, *_LABELS, *columns)

    def theirs(source: Path, peer: str) -> Usage:
        return _peer(peer, model, source, out)

    arms: dict[str, Callable[[Path], Usage]] = {
        f"coldpress-{workers}": partial(ours, workers=workers) for workers in (2, 1)
    }
    arms |= {peer: partial(theirs, peer=peer) for peer in CASES[name]}
    for measure in arms.values():  # bytecode and files are read once before
        measure(few)
    samples = _interleaved({arm: partial(measure, source) for arm, measure in arms.items()}, rounds, name)
    found = {
        arm: {
            "rows_per_second": _spread([rows / usage.seconds for usage in usages]),
            "peak_mb": _spread([usage.peak_mb for usage in usages]),
        }
        for arm, usages in samples.items()
    }
    size = source.stat().st_size
    source.unlink()
    return {"rows": rows, "bytes": size, "arms": found}


def _interleaved(arms: dict[str, Callable[[], Usage]], rounds: int, title: str) -> dict[str, list[Usage]]:
    samples: dict[str, list[Usage]] = {arm: [] for arm in arms}
    for number in range(rounds):
        with progress(f"{title}: round {number + 1} of {rounds}"):
            for arm, measure in arms.items():
                samples[arm].append(measure())
    return samples


def _pictures(model: Path, count: int, scratch: Path, rounds: int) -> dict[str, Any]:
    """Score JPEG pictures, and the tensors that are made of them, beside as many processes of the bare engine."""
    archive, some, out = scratch / "pictures.zip", scratch / "some.zip", scratch / "pictures.jsonl"
    tensors, ready = scratch / "tensors.npy", scratch / "ready.npy"
    bare_count = max(10, count // 4)
    with progress(f"write {count} pictures"):
        data.pictures(archive, count)
        data.pictures(some, bare_count)
        made = np.concatenate([_tensor(each) for each in data.sample_pictures(bare_count)])
        np.save(ready, made)
        np.save(tensors, np.tile(made, (4, 1, 1, 1)))
    builds = {source: _pack(model, scratch / name, hooks) for source, name, hooks in
              ((archive, "opennsfw", HOOKS), (tensors, "opennsfw-plain", None))}  # fmt: skip
    rates: dict[tuple[str, int], list[float]] = {}
    _score(some, out, builds[archive])
    for number in range(rounds):
        with progress(f"pictures: round {number + 1} of {rounds}"):
            for workers in (1, 2):
                found = {
                    "bare_rows_per_second": _bare("engine", model, ready, workers),
                    "rows_per_second": _rate(archive, out, builds[archive], workers),
                    "bare_tensors_per_second": _bare("engine", model, ready, workers),
                    "tensors_per_second": _rate(tensors, out, builds[tensors], workers),
                    "opening_rows_per_second": _bare("engine-pictures", model, some, workers),
                }
                for what, rate in found.items():
                    rates.setdefault((what, workers), []).append(rate)
    return {
        "count": count,
        "workers": {
            str(workers): {
                **{what: _spread(rates[what, workers]) for what, each in rates if each == workers},
                "of_bare": _ratio(rates["rows_per_second", workers], rates["bare_rows_per_second", workers]),
                "of_bare_tensors": _ratio(
                    rates["tensors_per_second", workers], rates["bare_tensors_per_second", workers]
                ),
                "of_opening": _ratio(rates["rows_per_second", workers], rates["opening_rows_per_second", workers]),
            }
            for workers in (1, 2)
        },
    }


def _rate(source: Path, out: Path, build: Path, workers: int) -> float:
    usage = _score(source, out, build, "--workers", workers)
    return float(usage.printed["rows"]["scored"] / usage.printed["seconds"])


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    return _spread([one / other for one, other in zip(ours, theirs, strict=True)])


def _tensor(picture: bytes) -> np.ndarray:
    return preprocess(Request("POST", "/predict", {}, picture))["input:0"]


def _bare(name: str, model: Path, source: Path, processes: int) -> float:
    """Rows a second of so many processes of the plain binding at once, one thread each, from memory to memory."""
    python = Path(sys.executable) if name == "engine-pictures" else PEERS  # the hook needs Pillow
    with ThreadPoolExecutor(processes) as pool:
        usages = list(pool.map(lambda _: _peer(name, model, source, source, python), range(processes)))
    return sum(usage.printed["rows"] / usage.printed["seconds"] for usage in usages)


def _memory(build: Path, scratch: Path, scale: float) -> Iterator[dict[str, float]]:
    """Peak memory against the size of the input, with two workers even where one would do."""
    block = scratch / "block.csv"
    data.csv_table(block, 2500)  # about a megabyte
    head, _, body = block.read_bytes().partition(b"\n")
    source, out = scratch / "large.csv", scratch / "large.jsonl"
    _score(block, out, build, "--outputs", "label")
    for size in SIZES_MB:
        wanted = max(1, int(size * scale)) * 1_000_000
        with source.open("wb") as file:
            file.write(head + b"\n")
            for _ in range(max(1, wanted // len(body))):
                file.write(body)
        with progress(f"memory: {wanted / 1e6:,.0f} MB"):
            usage = _score(source, out, build, "--outputs", "label", "--workers", 2, poll_s=0.005)
        yield {
            "mb": round(source.stat().st_size / 1e6),
            "peak_mb": round(usage.peak_mb, 1),
            "s": round(usage.seconds, 2),
        }
    source.unlink()


def _kills(scratch: Path, kills: int) -> dict[str, Any]:
    """Kill what scores at random moments, in a folder and in S3 on a local AWS; it raises when a row is lost."""
    bundle = write_bundle(scratch / "kill", "fp32")
    with progress(f"{kills} kills in a folder"):
        folder = survive(bundle, f"{scratch}/store/", kills=kills)
    with bucket() as (url, variables), progress(f"{kills} kills in S3"):
        os.environ.update(variables)
        s3 = survive(bundle, url, kills=kills)
    return {"folder": folder._asdict(), "s3": s3._asdict()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "low": round(min(values), 3),
        "high": round(max(values), 3),
    }
