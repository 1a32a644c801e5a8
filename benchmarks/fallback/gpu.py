"""`python -m benchmarks.fallback.gpu [--out FILE]`: the endpoint's figures on a GPU, where there is one.

Two models, MiniLM in float32 and a VGG-19 of 575 MB: the GPU's answers against the CPU's, rows a second by the size of
the batch, and what dynamic batching is worth to 32 clients. It runs in an environment with onnxruntime-gpu and what
`templates/endpoint/requirements-gpu.txt` names, and with this project for the models.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.arms import ROOT
from benchmarks.fallback.arms import Asked
from benchmarks.fallback.rates import Effort, in_turn, short_text
from benchmarks.fallback.vgg import write_vgg
from benchmarks.serve.arms import Server
from coldpress.console import say
from coldpress.model.files import model_bytes
from coldpress_endpoint.engine import Engine
from tests.support import minilm

__all__ = ["TOLERANCE", "measure_gpu", "why_not"]

TOLERANCE = 5e-3
"""Of the largest number of an answer: products in TF32, which GPUs take for float32, keep 10 bits of a fraction."""
_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_PROVIDERS = ("tensorrt", "cuda")
_TIMED_S = 2.0


def why_not() -> str:
    """Say why nothing can be measured here; empty where it can."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return f"onnxruntime {onnxruntime.__version__} here is built without CUDA: install onnxruntime-gpu"
    if not any(Path("/dev").glob("nvidia[0-9]*")):
        return "there is no NVIDIA device in /dev"
    return ""


def measure_gpu(scratch: Path, effort: Effort) -> dict[str, Any]:
    """Measure both models, and batching with the first."""
    sentences = ["The cat sat on the mat, and the dog looked on."] * _BATCHES[-1]
    pictures = np.random.default_rng(0).random((_BATCHES[-1], 3, 224, 224), np.float32)
    return {
        "device": _device(),
        "models": {
            "minilm": _model(minilm.model(), minilm.encode(sentences)),
            "vgg19": _model(write_vgg(scratch / "vgg19.onnx"), {"image": pictures}),
        },
        "batching": _batching(scratch, effort),
    }


def _device() -> str:
    names = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    lines = names[0].read_text().splitlines() if names else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("Model")), "a GPU")


def _model(path: Path, feeds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    fast, plain = Engine(str(path), _PROVIDERS), Engine(str(path), ("cpu",), threads=os.cpu_count() or 1)
    if fast.provider == "cpu":
        raise SystemExit(f"{path.name} runs on the CPU here, although there is a GPU")
    few = {name: value[:4] for name, value in feeds.items()}
    found, want = fast.run(few), plain.run(few)
    off = max(float(np.abs(found[name] - want[name]).max() / np.abs(want[name]).max()) for name in want)
    by_batch = {str(size): _rows_a_second(fast, feeds, size) for size in _BATCHES}
    say(f"    {path.name} by {fast.provider}: off by {off:.2g}")
    return {"provider": fast.provider, "off": off, "bytes": model_bytes(path), "rows_a_second": by_batch}


def _rows_a_second(engine: Engine, feeds: Mapping[str, np.ndarray], size: int) -> float:
    batch = {name: np.ascontiguousarray(value[:size]) for name, value in feeds.items()}
    for _ in range(3):
        engine.run(batch)
    runs, begun = 0, time.perf_counter()
    while (took := time.perf_counter() - begun) < _TIMED_S:
        engine.run(batch)
        runs += 1
    return runs * size / took


def _batching(scratch: Path, effort: Effort) -> dict[str, Any]:
    case, body = short_text()
    place = scratch / "models" / case.name / "1"
    place.mkdir(parents=True)
    shutil.copy(case.model, place / "model.onnx")
    arms = {}
    for arm, most in (("batches", ""), ("one by one", "1")):
        variables = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "handlers"),
            "COLDPRESS_MODELS": str(scratch / "models"),
            "COLDPRESS_HOST": "127.0.0.1",
            "COLDPRESS_PORT": "{port}",
            "COLDPRESS_MAX_BATCH": most,
        }
        server = Server("coldpress", (sys.executable, "-m", "coldpress_endpoint"), ROOT, variables)
        arms[arm] = Asked(server, f"/v2/models/{case.name}/infer", body)
    figures, _ = in_turn(arms, case, effort, 32, tolerance=TOLERANCE)
    return {"title": case.title, "clients": 32, "arms": figures}


def main() -> int:
    """Measure and print, or say why not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fallback.gpu", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("gpu.json"), help="write the JSON here")
    args = parser.parse_args()
    if why := why_not():
        say(f"the GPU's figures were skipped: {why}")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        document = measure_gpu(Path(scratch), Effort())
    args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    say(f"{args.out} is written; `make bench-fallback` shows it from now on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
