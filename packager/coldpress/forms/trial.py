"""Open and run a model with the lean engine in a fresh process, and take its times, memory and answers."""

import marshal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from coldpress._resources import runtime_root
from coldpress.errors import ModelError
from coldpress.signature import DATATYPES

__all__ = [
    "Opening",
    "RequestFile",
    "Trial",
    "decode",
    "encode",
    "read_answers",
    "run_trial",
    "try_model",
    "write_requests",
]

_SCRIPT = Path(__file__).with_name("_trial.py")
_TIMEOUT_S = 300
_NUMPY = dict(DATATYPES.values())


@dataclass(frozen=True)
class Opening:
    """How the lean engine opens a file: the arguments of ``coldpress_runtime.ort.SessionOptions`` by the same names."""

    threads: int = 1
    optimization: str = "all"
    mapped: bool = False
    prepacking: bool = True
    optimized_path: str | None = None
    config: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Trial:
    """One fresh process, in ms of processor time; ``wall`` is by the clock.

    Attributes:
        session_ms: to import the engine, load the library and open the model.
        first_ms: the first run.
        cold_ms: both together.
        warm_ms: a later run: the quickest of several for each request that is timed, mean over these.
        peak_mb: largest resident memory in MB (10^6 bytes) before answers are taken; 0 where the system does not tell.
        answers: outputs by name, as numpy arrays, lists and dicts, one mapping a request; empty unless asked for.
        inputs: names and types, as in ``FP32[N,64]``.
        outputs: likewise.
        metadata: the model's own.
    """

    session_ms: float = 0.0
    first_ms: float = 0.0
    cold_ms: float = 0.0
    warm_ms: float = 0.0
    peak_mb: float = 0.0
    answers: tuple[Mapping[str, Any], ...] = ()
    first_wall_ms: float = 0.0
    cold_wall_ms: float = 0.0
    warm_wall_ms: float = 0.0
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RequestFile:
    """Requests written for fresh processes, as often as needed.

    Attributes:
        path: where.
        count: how many.
        states: inputs that an output of the request before feeds, within a sequence.
        sequence: the number of the sequence each request belongs to; empty when every request stands alone.
    """

    path: Path
    count: int
    states: Mapping[str, str] = field(default_factory=dict)
    sequence: tuple[int, ...] = ()


def write_requests(
    path: Path,
    requests: Sequence[Mapping[str, Any]],
    states: Mapping[str, str] | None = None,
    sequence: Sequence[int] = (),
) -> RequestFile:
    """Write inputs by name (numpy arrays, lists), one mapping a request."""
    with path.open("wb") as file:
        for request in requests:
            marshal.dump({name: encode(value) for name, value in request.items()}, file)
    return RequestFile(path, len(requests), dict(states or {}), tuple(sequence))


def read_answers(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the answers that ``run_trial`` wrote, one at a time."""
    end = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < end:
            yield {name: decode(value) for name, value in marshal.load(file).items()}  # noqa: S302  (from our own)


def try_model(
    model: Path,
    opening: Opening,
    requests: Sequence[Mapping[str, Any]] = (),
    *,
    library: Path,
    warm: int = 0,
    warm_ms: float = 100.0,
    answers: bool = False,
) -> Trial:
    """Open ``model`` in a fresh process and run it.

    Args:
        model: ONNX or ORT format.
        opening: How to open it.
        requests: Inputs by name (numpy arrays, lists); without any the model is opened and not run.
        library: ONNX Runtime's C library.
        warm: Runs of the first request after the first run, at most.
        warm_ms: No more of them after so many milliseconds.
        answers: Return the answers to all requests.

    Raises:
        ModelError: The engine refuses the file or the requests, or the process dies.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-trial-") as folder:
        written = write_requests(Path(folder, "requests"), requests if answers else requests[:1])
        place = Path(folder, "answers") if answers else None
        trial = run_trial(model, opening, written, library=library, warm=warm, warm_ms=warm_ms, answers=place)
        return replace(trial, answers=tuple(read_answers(place))) if place else trial


def run_trial(
    model: Path,
    opening: Opening,
    requests: RequestFile,
    *,
    library: Path,
    timed: int = 1,
    warm: int = 0,
    warm_ms: float = 100.0,
    answers: Path | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> Trial:
    """Open ``model`` in a fresh process and run it on requests that are in a file already.

    Args:
        model: ONNX or ORT format.
        opening: How to open it.
        requests: What ``write_requests`` gave.
        library: ONNX Runtime's C library.
        timed: So many of the first requests are run warm, in turn.
        warm: Runs of each of them, at most.
        warm_ms: No more turns after so many milliseconds of processor time.
        answers: Write the answers to all requests here, for ``read_answers``; None: take none.
        timeout_s: Seconds that all this may take.

    Raises:
        ModelError: The engine refuses the file or the requests, or the process dies.
    """
    job = {
        "model": str(model),
        "library": str(library),
        "options": {**vars(opening), "config": dict(opening.config)},
        "requests": str(requests.path),
        "count": requests.count,
        "states": dict(requests.states),
        "sequence": requests.sequence,
        "timed": min(timed, requests.count),
        "warm": warm,
        "warm_ms": warm_ms,
        "answers": str(answers) if answers else None,
    }
    with tempfile.TemporaryDirectory(prefix="coldpress-job-") as folder:
        place = Path(folder, "job")
        place.write_bytes(marshal.dumps(job))
        command = [sys.executable, "-S", "-E", str(_SCRIPT), str(runtime_root().parent), str(place)]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise ModelError(f"{model.name} did not answer within {timeout_s:.0f} s; use a smaller request.") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise ModelError(f"The process that tried {model.name} ended with: {lines[-1]}")
    result = marshal.loads(done.stdout)  # noqa: S302  (from a process of our own)
    if "error" in result:
        raise ModelError(result["error"])
    for side in ("inputs", "outputs"):
        result[side] = tuple(result.get(side, ()))
    return Trial(**result)


def encode(value: Any) -> Any:
    """Turn numpy arrays into (datatype, shape, bytes or list of bytes), lists and dicts element by element."""
    import numpy as np

    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.kind in "OSU":
            return "BYTES", array.shape, [str(item).encode("utf-8", "surrogateescape") for item in array.ravel()]
        (name,) = (name for name, numpy in _NUMPY.items() if numpy == array.dtype.name)
        return name, array.shape, array.tobytes()
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Turn (datatype, shape, data) back into a numpy array, lists and dicts element by element."""
    import ml_dtypes  # noqa: F401, PLC0415  (registers bfloat16 and float8 with numpy)
    import numpy as np

    if isinstance(value, tuple):
        name, shape, data = value
        if name == "BYTES":
            array = np.empty(len(data), dtype=object)
            array[:] = [item.decode("utf-8", "surrogateescape") for item in data]
        else:
            array = np.frombuffer(data, dtype=_NUMPY[name])
        return array.reshape(shape)
    if isinstance(value, list):
        return [decode(item) for item in value]
    return value
