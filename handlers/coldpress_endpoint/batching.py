"""Dynamic batching: requests that wait at the same time run together along the batch axis.

A request that finds a free thread runs at once, or after the delay that the settings allow; those that come while all
threads are busy gather, and run together when one is free: those of equal shapes and equal outputs, in the order in
which they came. Nothing is padded. When a run of several fails, each is run again on its own, so that a bad request
fails alone. A model that is not batched has nothing to gather for: each thread is given its next request before it is
done with the one before, or it would idle until it was woken. Runs are made on threads, as the engine gives up the GIL;
only a model that answers quicker than a thread is woken runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from coldpress_endpoint.metrics import ModelMetrics
from coldpress_runtime.errors import BusyError, DeadlineError

__all__ = ["Batcher", "join", "split"]

Arrays = Mapping[str, Any]
Run = Callable[[Arrays, Sequence[str] | None], dict[str, Any]]

#: What a run may take to be made on the event loop, which it holds up; and the bytes it may read.
QUICK_S = 0.0005
_QUICK_BYTES = 1 << 16
_LONGEST_S = 86400.0  # event loops know no infinity


class _Job:
    """A request that waits; ``rows`` is 0 when it can only run alone."""

    __slots__ = ("born", "ends", "future", "inputs", "key", "outputs", "rows")

    def __init__(
        self, inputs: Arrays, outputs: Sequence[str] | None, ends: float, future: asyncio.Future[dict[str, Any]]
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.ends = ends
        self.future = future
        self.born = perf_counter()
        self.rows = 0
        self.key: Any = None


class Batcher:
    """Asks one model on behalf of many. Made anywhere, used on one event loop.

    Args:
        run: the engine's ``run``.
        pool: threads that runs are made on.
        metrics: what is counted.
        slots: runs at a time.
        max_batch: rows that run together at most; 1 when the model is not to be batched.
        delay_s: how long the first of a batch waits for others.
        queue: requests that wait at most.
        seconds: what a run took of late, from the warm-up; infinity when runs belong on threads, whatever they take.
    """

    def __init__(
        self,
        run: Run,
        pool: Executor,
        metrics: ModelMetrics,
        *,
        slots: int = 1,
        max_batch: int = 1,
        delay_s: float = 0.0,
        queue: int = 256,
        seconds: float = float("inf"),
    ) -> None:
        self.max_batch = max_batch
        self._run = run
        self._pool = pool
        self._metrics = metrics
        self._slots = slots
        self._most = slots if max_batch > 1 else 2 * slots  # batches that threads have at hand
        self._delay_s = delay_s
        self._queue = queue
        self._seconds = self._last = seconds
        self._waiting: deque[_Job] = deque()
        self._given = 0
        self._planned = False

    async def ask(self, inputs: Arrays, outputs: Sequence[str] | None, ends: float) -> dict[str, Any]:
        """Return the outputs for ``inputs``; raises BusyError, DeadlineError, and what the run does."""
        if perf_counter() >= ends:
            raise _late()
        if self._seconds < QUICK_S and _bytes(inputs) < _QUICK_BYTES:
            return self._at_once(inputs, outputs)
        if self._count() >= self._queue:
            raise BusyError(f"{self._queue} requests wait for this model already; try again in a second.")
        loop = asyncio.get_running_loop()
        job = _Job(inputs, outputs, ends, loop.create_future())
        if self.max_batch > 1:
            job.rows, job.key = _group(inputs, outputs)
        self._waiting.append(job)
        self._metrics.waiting = self._count()
        if not self._planned and self._given < self._most:
            self._planned = True
            loop.call_soon(self._start, loop)  # after what else has just arrived
        clock = loop.call_later(min(ends - job.born, _LONGEST_S), _expire, job.future)
        try:
            return await job.future
        except BaseException:  # also of callers who have gone
            self._drop(job)
            raise
        finally:
            clock.cancel()

    def _count(self) -> int:
        """Requests that wait: here, or at hand for a thread that is busy."""
        return len(self._waiting) + max(0, self._given - self._slots)

    def _drop(self, job: _Job) -> None:
        """Give the place in the queue back of a request that nobody waits for any more."""
        if job in self._waiting:
            self._waiting.remove(job)
            self._metrics.waiting = self._count()

    def _at_once(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Any]:
        start = thread_time()
        answer = self._run(inputs, outputs)
        took = thread_time() - start  # not what others made it wait for
        # One long answer may be the machine's doing; two, one after the other, are the model's.
        self._seconds, self._last = min(took, self._last), took
        self._metrics.ran(1, took)
        return answer

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the threads what they have room for."""
        self._planned = False
        while self._waiting and self._given < self._most:
            wait = self._waiting[0].born + self._delay_s - perf_counter() if self._delay_s else 0.0
            if wait > 0 and self.max_batch > 1 and sum(job.rows for job in self._waiting) < self.max_batch:
                self._planned = True
                loop.call_later(wait, self._start, loop)
                break
            batch = self._take()
            if batch:
                self._given += 1
                self._pool.submit(self._work, batch, loop)
        self._metrics.waiting = self._count()

    def _take(self) -> list[_Job]:
        """Take the first request and those that can run with it off the queue; drop those whose time is over."""
        now = perf_counter()
        batch: list[_Job] = []
        left: deque[_Job] = deque()
        rows = 0
        # Threads that are free share what waits: two halves at a time are done before one whole.
        share = -(-len(self._waiting) // (self._most - self._given))
        for job in self._waiting:
            if job.future.done():  # whoever asked has gone
                continue
            if now >= job.ends:
                job.future.set_exception(_late())
            elif not batch:
                batch.append(job)
                rows = job.rows
            elif (
                rows
                and job.rows
                and len(batch) < share
                and job.key == batch[0].key
                and rows + job.rows <= self.max_batch
            ):
                batch.append(job)
                rows += job.rows
            else:
                left.append(job)
        self._waiting = left
        return batch

    def _work(self, batch: list[_Job], loop: asyncio.AbstractEventLoop) -> None:
        """Run a batch, on a thread."""
        batch = [job for job in batch if not job.future.done()]  # nobody waits for the others any more
        start, own = perf_counter(), thread_time()
        found = self._answers(batch)
        took, own = perf_counter() - start, thread_time() - own
        loop.call_soon_threadsafe(self._finish, batch, found, took, own, loop)

    def _answers(self, batch: list[_Job]) -> list[dict[str, Any] | Exception]:
        if len(batch) > 1:
            try:
                whole = self._run(join([job.inputs for job in batch]), batch[0].outputs)
                return list(split(whole, [job.rows for job in batch]))
            except Exception:  # noqa: BLE001 - of whatever kind: each will say what is its own
                self._metrics.splits += 1
        return [self._alone(job) for job in batch]

    def _alone(self, job: _Job) -> dict[str, Any] | Exception:
        try:
            return self._run(job.inputs, job.outputs)
        except Exception as error:  # noqa: BLE001 - carried to the one who asked
            return error

    def _finish(
        self,
        batch: list[_Job],
        found: list[dict[str, Any] | Exception],
        took: float,
        own: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._given -= 1
        if batch:
            # Slowly down: of a model with quick and slow answers, few hold the event loop up.
            self._seconds = self._last = max(own, 0.9 * self._seconds + 0.1 * own)
            self._metrics.ran(sum(job.rows or 1 for job in batch), took)
        for job, answer in zip(batch, found, strict=True):
            if job.future.done():
                continue
            if isinstance(answer, Exception):
                job.future.set_exception(answer)
            else:
                job.future.set_result(answer)
        self._metrics.waiting = self._count()
        if self._waiting and not self._planned:
            self._planned = True
            loop.call_soon(self._start, loop)


def _late() -> DeadlineError:
    return DeadlineError(
        "The request's time was over before the model had answered; send fewer at a time, or give it longer."
    )


def _expire(future: asyncio.Future[dict[str, Any]]) -> None:
    """Tell who asked that the time is over, whether others are in front or the run itself takes so long."""
    if not future.done():
        future.set_exception(_late())


def _bytes(inputs: Arrays) -> float:
    return sum(value.nbytes if isinstance(value, np.ndarray) else float("inf") for value in inputs.values())


def _group(inputs: Arrays, outputs: Sequence[str] | None) -> tuple[int, Any]:
    """How many rows a request has, and what others must have in common with it; no rows when it must run alone."""
    found = set()
    key = []
    for name in sorted(inputs):
        value = inputs[name]
        if not isinstance(value, np.ndarray) or not value.ndim:
            return 0, None
        found.add(value.shape[0])
        key.append((name, value.dtype.char, value.shape[1:]))
    if len(found) != 1:  # the engine might spread the rows that one input lacks over from another request's
        return 0, None
    return found.pop(), (key, None if outputs is None else tuple(outputs))


def join(requests: Sequence[Arrays]) -> dict[str, Any]:
    """Put the rows of several requests' inputs one below the other."""
    return {name: np.concatenate([inputs[name] for inputs in requests]) for name in requests[0]}


def split(outputs: Arrays, rows: Sequence[int]) -> list[dict[str, Any]]:
    """Give each request the rows that are its own; raises ValueError when an output has not a row for each."""
    total = sum(rows)
    for name, value in outputs.items():
        if len(value) != total:
            raise ValueError(f"output {name!r} has {len(value)} rows for {total} of the inputs")
    parts = []
    start = 0
    for count in rows:
        parts.append({name: value[start : start + count] for name, value in outputs.items()})
        start += count
    return parts
