"""One fresh process that opens a model with the lean engine, as a function would, and says what it took.

Run as ``python -S -E _trial.py RUNTIME_PARENT JOB``: ``JOB`` is a file of ``marshal``, and what it took goes to stdout
likewise. Requests come from a file, one ``marshal`` value after another, and answers go into one the same way: neither
is held as a whole. Only the standard library and ``coldpress_runtime`` are imported, so that times are those of a
function: of the processor, which what else the machine does disturbs less than it does the clock, and by the clock.
"""

import marshal
import sys
from time import perf_counter, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

sys.path.insert(0, sys.argv[1])
with open(sys.argv[2], "rb") as file:  # noqa: PTH123  (pathlib costs a start-up import)
    job = marshal.load(file)  # noqa: S302  (written by the process that started this one)

started, started_wall = process_time(), perf_counter()
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


def _requests(count: int) -> "Iterator[dict[str, Any]]":
    with open(job["requests"], "rb") as source:  # noqa: PTH123
        for _ in range(count):
            request = marshal.load(source)  # noqa: S302  (as above)
            yield {name: _value(value) for name, value in request.items()}


def _answer_all(session: Session, first: "dict[str, Any]", place: str) -> None:
    """Write the answers to all requests, each sequence's states handed on from one request to the next."""
    states, sequence = job["states"], job["sequence"]
    held: dict[int, dict[str, Any]] = {}
    with open(place, "wb") as answers:  # noqa: PTH123
        for number, request in enumerate(_requests(job["count"])):
            if states and sequence:
                request.update(held.get(sequence[number], {}))
            answer = session.run(request) if number else first
            if states and sequence:
                held[sequence[number]] = {name: answer[output] for name, output in states.items()}
            marshal.dump({name: _plain(value) for name, value in answer.items()}, answers)


def _warm(session: Session, requests: "list[dict[str, Any]]") -> "tuple[float, float]":
    """Return processor and clock time of a later run, the least of several for each request, mean over requests."""
    least = [(0.0, 0.0)] * len(requests)
    spent = 0.0
    for turn in range(job["warm"]):
        for number, request in enumerate(requests):
            begun, begun_wall = process_time(), perf_counter()
            session.run(request)
            took, took_wall = (process_time() - begun) * 1e3, (perf_counter() - begun_wall) * 1e3
            spent += took
            old = least[number]
            least[number] = (min(took, old[0]), min(took_wall, old[1])) if turn else (took, took_wall)
        if spent > job["warm_ms"]:
            break
    return sum(each[0] for each in least) / len(least), sum(each[1] for each in least) / len(least)


def _main() -> "dict[str, Any]":
    session = Session(job["model"], SessionOptions(**job["options"]), library=job["library"])
    opened, opened_wall = process_time(), perf_counter()
    if not job["count"]:
        return {}
    requests = list(_requests(job["timed"]))
    begun, begun_wall = process_time(), perf_counter()
    first = session.run(requests[0])
    ended, ended_wall = process_time(), perf_counter()
    warm_ms, warm_wall_ms = _warm(session, requests)
    result: dict[str, Any] = {
        "session_ms": (opened - started) * 1e3,
        "first_ms": (ended - begun) * 1e3,
        "cold_ms": (opened - started + ended - begun) * 1e3,
        "warm_ms": warm_ms,
        "first_wall_ms": (ended_wall - begun_wall) * 1e3,
        "cold_wall_ms": (opened_wall - started_wall + ended_wall - begun_wall) * 1e3,
        "warm_wall_ms": warm_wall_ms,
        "peak_mb": _peak_mb(),
        "inputs": [(value.name, str(value)) for value in session.inputs],
        "outputs": [(value.name, str(value)) for value in session.outputs],
        "metadata": session.metadata,
    }
    if job["answers"] is not None:
        _answer_all(session, first, job["answers"])
    return result


try:
    answer = _main()
except ColdpressError as error:
    answer = {"error": str(error)}
sys.stdout.buffer.write(marshal.dumps(answer))
