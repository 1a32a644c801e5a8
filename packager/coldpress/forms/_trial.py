"""One fresh process that opens a model with the lean engine, as a function would, and says what it took.

Run as ``python -S -E _trial.py RUNTIME_PARENT JOB``: ``JOB`` is a file of ``marshal``, and the answer goes to stdout
likewise. Only the standard library and ``coldpress_runtime`` are imported, so that times are those of a function. They
are processor times: what else the machine does disturbs those less than it does the clock.
"""

import marshal
import sys
from time import process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

sys.path.insert(0, sys.argv[1])
with open(sys.argv[2], "rb") as file:  # noqa: PTH123  (pathlib costs a start-up import)
    job = marshal.load(file)  # noqa: S302  (written by the process that started this one)

started = process_time()
from coldpress_runtime.errors import ColdpressError  # noqa: E402  (what follows is what is measured)
from coldpress_runtime.ort import Session, SessionOptions  # noqa: E402
from coldpress_runtime.tensor import Tensor  # noqa: E402


def _value(plain: "Any") -> "Any":
    """Make the engine's value: a tuple is a tensor (datatype, shape, data)."""
    if isinstance(plain, tuple):
        return Tensor(*plain)
    if isinstance(plain, list):
        return [_value(item) for item in plain]
    return plain


def _plain(value: "Any") -> "Any":
    """Make what ``marshal`` can carry."""
    if isinstance(value, Tensor):
        data = value.data if value.dtype.name == "BYTES" else bytes(value.data)
        return value.dtype.name, value.shape, data
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _peak_mb() -> float:
    """Largest resident memory in MB (10^6 bytes); VmHWM, because ru_maxrss begins with the parent's."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return 0.0


def _main() -> "dict[str, Any]":
    session = Session(job["model"], SessionOptions(**job["options"]), library=job["library"])
    opened = process_time()
    requests = [{name: _value(value) for name, value in request.items()} for request in job["requests"]]
    if not requests:
        return {}
    begun = process_time()
    first = session.run(requests[0])
    ended = process_time()
    result: dict[str, Any] = {
        "session_ms": (opened - started) * 1e3,
        "first_ms": (ended - begun) * 1e3,
        "cold_ms": (opened - started + ended - begun) * 1e3,
    }
    warm = []
    for _ in range(job["warm"]):
        begun = process_time()
        session.run(requests[0])
        ended = process_time()
        warm.append((ended - begun) * 1e3)
        if sum(warm) > job["warm_ms"]:
            break
    result["warm_ms"] = min(warm, default=0.0)
    result["peak_mb"] = _peak_mb()
    if job["answers"]:
        answers = [first, *(session.run(request) for request in requests[1:])]
        result["answers"] = [{name: _plain(value) for name, value in answer.items()} for answer in answers]
    return result


try:
    answer = _main()
except ColdpressError as error:
    answer = {"error": str(error)}
sys.stdout.buffer.write(marshal.dumps(answer))
