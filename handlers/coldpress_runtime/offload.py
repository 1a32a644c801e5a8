"""Where an answer is made under asyncio: on the event loop when it is quick, on a thread when it is not.

A thread costs more than the answer of a small model: half of the requests a second with 16 callers. An answer on the
event loop holds up everybody else's, health checks included. So what answers took of late decides.
"""

from __future__ import annotations

import os
from time import thread_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import ThreadPoolExecutor

    from coldpress_runtime.http import Request, Response
    from coldpress_runtime.service import Service

__all__ = ["Offload", "cpus"]

_QUICK_S = 0.002  # on the event loop at most: what a health check may have to wait
_QUICK_BYTES = 65536  # and so large a body at most: reading it takes time too


class Offload:
    """Runs a service's answers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._threads: ThreadPoolExecutor | None = None
        # What an answer takes. Hooks may wait for something, which is never done on the event loop.
        self._seconds = float("inf") if service.manifest.hooks else service.timings["warmup_ms"] / 1e3
        self._at_once: Callable[[Request], Response | None] = service.answer
        self._waiting = 0  # threads that only wait, for an endpoint
        if service.manifest.fallback is not None:
            self._at_once, self._waiting = service.answer_at_once, service.manifest.fallback.concurrency
        self._last = self._seconds

    async def answer(self, request: Request) -> Response:
        """Answer a request; never raises."""
        if self._seconds < _QUICK_S and _is_small(request) and (response := self._at_once(request)) is not None:
            timings = response.timings
            took = (timings.decode_ms + timings.run_ms + timings.encode_ms) / 1e3
            # One long answer may be the machine's doing; two, one after the other, are the model's.
            self._seconds, self._last = min(took, self._last), took
            return response
        from asyncio import get_running_loop  # noqa: PLC0415 - the server has loaded it

        if self._threads is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - quick models never need it

            self._threads = ThreadPoolExecutor(cpus() + self._waiting, "answer")
        return await get_running_loop().run_in_executor(self._threads, self._timed, request)

    def _timed(self, request: Request) -> Response:
        small = _is_small(request)
        start = thread_time()
        response = self._service.answer(request)
        if small:
            took = thread_time() - start  # this thread's own work, for which others may have made it wait
            # Slowly down: of a model with quick and slow answers, few hold the event loop up.
            self._seconds = self._last = max(took, 0.9 * self._seconds + 0.1 * took)
        return response


def _is_small(request: Request) -> bool:
    """Whether the body takes next to no time to read; how large a compressed one becomes, nobody knows."""
    return len(request.body) < _QUICK_BYTES and "content-encoding" not in request.headers


def cpus() -> int:
    """CPUs that this container may use, as its cgroup (v2) says, or else those that there are."""
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = map(int, file.read().split())
        return max(1, quota // period)
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return os.cpu_count() or 1
