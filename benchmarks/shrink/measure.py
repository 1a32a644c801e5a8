"""What a file is worth: its answers, its speed beside the others', and the memory of a fresh process."""

import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.shrink.cases import Case
from benchmarks.shrink.samples import Samples
from coldpress.binding import onnxruntime
from coldpress.errors import PackError
from coldpress.forms.trial import Opening, try_model
from coldpress.reference import Reference

__all__ = ["answers_of", "floor_mb", "memory", "speeds"]

LEAST_ROUNDS, MOST_ROUNDS, ROUNDS_S = 9, 200, 3.0


def answers_of(case: Case, model: Path, samples: Samples) -> dict[str, Any]:
    """Answer all requests in a process of its own; return `checks`, `finite`, or `error`."""
    return _apart(_judge, case.name, model, samples)


def _judge(name: str, model: Path, samples: Samples) -> dict[str, Any]:
    from benchmarks.shrink.cases import CASES  # noqa: PLC0415  (a case does not travel between processes)

    try:
        answers = samples.answers(Reference(model).run)
        values = {
            check.title: check.measure(answers, samples.labels) for goal in CASES[name].goals for check in goal.checks
        }
    except PackError as error:
        return {"error": str(error)}
    except (KeyError, ValueError, TypeError, IndexError) as error:
        return {"error": f"answers in another form: {type(error).__name__}: {error}"}
    return {"checks": values, "finite": all(_finite(value) for answer in answers for value in answer.values())}


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    array = np.asarray(value)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def speeds(models: Mapping[str, Path], request: Mapping[str, Any]) -> dict[str, float]:
    """Return the quickest warm run of each model in ms: one thread, each in turn, round after round."""
    return _apart(_race, dict(models), dict(request))


def _race(models: dict[str, Path], request: dict[str, Any]) -> dict[str, float]:
    sessions = {name: Reference(model) for name, model in models.items()}
    best = dict.fromkeys(sessions, float("inf"))
    spent = dict.fromkeys(sessions, 0.0)
    for number in range(MOST_ROUNDS):
        running = [name for name in sessions if spent[name] < ROUNDS_S or number < LEAST_ROUNDS]
        if not running:
            break
        for name in running:
            started = time.perf_counter()
            sessions[name].run(request)
            took = time.perf_counter() - started
            best[name], spent[name] = min(best[name], took), spent[name] + took
    return {name: round(seconds * 1e3, 4) for name, seconds in best.items()}


def memory(model: Path, request: Mapping[str, Any], library: Path) -> dict[str, float]:
    """Return peaks in MB (10^6 bytes) of fresh processes that open a model and answer once, and times in ms.

    `binding_mb` is of the plain onnxruntime binding, above what it takes to import it; `peak_mb`, `session_ms` and
    `cold_ms` are of coldpress's own runtime.
    """
    lean = try_model(model, Opening(), [request], library=library, warm=0)
    return {
        "binding_mb": round(_apart(_peak, model, dict(request))["peak_mb"], 1),
        "peak_mb": round(lean.peak_mb, 1),
        "session_ms": round(lean.session_ms, 2),
        "cold_ms": round(lean.cold_ms, 2),
    }


def _peak(model: Path, request: dict[str, Any]) -> dict[str, float]:
    onnxruntime()
    before = _resident_mb()
    Reference(model).run(request)
    return {"peak_mb": _resident_mb() - before}


def _resident_mb() -> float:
    """Return the most that this process has held: Linux's own count, which a fork does not hand down."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def floor_mb(folder: Path, library: Path) -> float:
    """Return the peak of coldpress's own runtime with a model that hands its input through."""
    value = onnx.helper.make_tensor_value_info
    kinds = [value(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "empty", kinds[:1], kinds[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "empty.onnx"
    onnx.save(model, path)
    return try_model(path, Opening(), [{"x": np.zeros(1, np.float32)}], library=library).peak_mb


def _apart(work: Any, *arguments: Any) -> Any:
    """Call a function in a fresh process, so that a model that crashes takes nobody along."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except BrokenProcessPool:
            return {"error": "the process that ran the model crashed"}
