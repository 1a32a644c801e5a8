"""Run the benchmark: a round starts every server once, in turn, so that what else the machine does falls on all."""

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, TOLERANCE, Case, read_outputs
from benchmarks.processes import family
from benchmarks.run import machine
from benchmarks.serve.arms import TITLES, Server, init_ms, interpreter, servers
from benchmarks.serve.load import callers, first_answer, single
from coldpress.binding import onnxruntime
from coldpress.cache import cache_dir
from coldpress.console import say
from coldpress.emulate.http import Reply
from coldpress.emulate.server import free_port

__all__ = ["CLIENTS", "insist", "run", "spread", "started"]

CLIENTS = 16
_START_S = 60.0


def run(
    names: Sequence[str], cold_rounds: int, warm_rounds: int, seconds: float, python: Path | None = None
) -> dict[str, Any]:
    """Measure the models ``names`` under ``python`` and return the document that becomes results.json."""
    python, minor = interpreter(python)
    document: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "python": subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1],
        "engine": onnxruntime().__version__,
        "clients": CLIENTS,
        "rounds": {"cold": cold_rounds, "warm": warm_rounds, "seconds": seconds},
        "models": {},
    }
    with tempfile.TemporaryDirectory(dir=cache_dir("bench")) as scratch:
        for name in names:
            say(f"{name}: building {', '.join(TITLES)}")
            case = CASES[name]()
            arms = servers(case, python, minor, Path(scratch, name))
            document["models"][name] = _measure(case, arms, python, cold_rounds, warm_rounds, seconds)
    return document


def _measure(
    case: Case, arms: dict[str, Server], python: Path, cold_rounds: int, warm_rounds: int, seconds: float
) -> dict[str, Any]:
    samples: dict[str, dict[str, list[float]]] = {name: {} for name in arms}
    bare: list[float] = []

    def keep(name: str, **figures: float) -> None:
        for what, value in figures.items():
            samples[name].setdefault(what, []).append(value)

    for number in range(cold_rounds + 1):
        for name, server in arms.items():
            figures = _cold(case, server)
            if number:  # the first round warms the page cache
                keep(name, **figures)
        say(f"    cold {number}/{cold_rounds}")
    for number in range(warm_rounds):
        bare.append(_bare(case, arms["coldpress"], python))
        for name, server in arms.items():
            keep(name, **_warm(case, server, seconds))
        say(f"    warm {number + 1}/{warm_rounds}")
    return {
        "title": case.title,
        "bare_answer_ms": round(statistics.median(bare), 4),
        "arms": {
            name: {"title": TITLES[name]} | {what: spread(values) for what, values in figures.items()}
            for name, figures in samples.items()
        },
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median of values, the least and the largest."""
    return {"median": round(statistics.median(values), 4), "low": round(min(values), 4), "high": round(max(values), 4)}


class _Started:
    """A server's process: when it was started, its port, what it has said and how much memory it takes."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, started: float, log: Path) -> None:
        self.process, self.port, self.started, self._log = process, port, started, log

    def log(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def memory_mb(self) -> float:
        """Return the resident memory of the process and of those that it started, in 10^6 bytes."""
        total = 0
        for pid in family(self.process.pid):
            with suppress(OSError):  # it has just ended
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return total / 1e6


@contextmanager
def started(server: Server) -> Iterator[_Started]:
    """Start a server on a free port, and end it with all that it has started."""
    port = free_port()
    command, variables = server.on(port)
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        with log.open("wb") as file:
            started = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=server.folder, env=variables, stdout=file, stderr=file, start_new_session=True
            )
        try:
            yield _Started(process, port, started, log)
        finally:
            for pid in family(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def _cold(case: Case, server: Server) -> dict[str, float]:
    with started(server) as running:
        try:
            content = first_answer(running.port, "/predict", case.request.body, _START_S)
        except TimeoutError as error:
            message = f"{server.name}: {error}; it says: {running.log()[-1000:]}"
            raise SystemExit(message) from error
        took = (time.perf_counter() - running.started) * 1e3
        _check(case, server, content)
        figures = {"cold_ms": took}
        if server.name == "coldpress":
            first_answer(running.port, "/predict", case.request.body, _START_S)  # by now the first one's line is there
            figures["opening_ms"] = init_ms(running.log())
        return figures


def _warm(case: Case, server: Server, seconds: float) -> dict[str, float]:
    body = case.request.body
    with started(server) as running:
        _check(case, server, first_answer(running.port, "/predict", body, _START_S))
        single(running.port, "/predict", body, 0.5)
        one = single(running.port, "/predict", body, seconds)
        many = callers(running.port, "/predict", body, CLIENTS, seconds)
        return {
            "p50_ms": one.p50_ms,
            "p99_ms": one.p99_ms,
            "per_second": many.per_second,
            "p99_busy_ms": many.p99_ms,
            "memory_mb": running.memory_mb(),
        }


def _check(case: Case, server: Server, content: bytes) -> None:
    """Stop when an answer is not the plain binding's."""
    if server.name == "empty":
        return
    insist(case, server.name, read_outputs(Reply(200, {}, content), case.expected))


def insist(case: Case, who: str, outputs: Mapping[str, Any], tolerance: float = TOLERANCE) -> None:
    """Stop when outputs are not the plain binding's: whoever has not done the work is measured for nothing."""
    try:
        case.check(who, outputs, tolerance)
    except ValueError as error:
        raise SystemExit(str(error)) from error


def _bare(case: Case, server: Server, python: Path) -> float:
    with tempfile.NamedTemporaryFile() as file:
        file.write(case.request.body)
        file.flush()
        command = [python, "-I", "-S", "-B", Path(__file__).with_name("bare.py"), server.folder, file.name]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
