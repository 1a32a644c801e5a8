"""Jobs done on this machine: worker processes score, this one reads and writes."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from coldpress.score.function import BatchFunction
from coldpress.score.plan import result_key
from coldpress.score.sources import Input
from coldpress_runtime.batch.compression import is_compressed
from coldpress_runtime.batch.job import Job, Outcome, Progress, run_job
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.batch.tables import write_table
from coldpress_runtime.batch.worker import command

__all__ = ["LocalEngine", "own_cores"]

_LEASE_S, _SAVE_S = 3.0, 1.0
"""Writing is quick here, and who runs a killed command again shall not wait long."""


def own_cores() -> int:
    """Return how many cores this process may use, by its affinity and its cgroup (v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123
            quota, period = map(int, file.read().split())
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return cores
    return max(1, min(cores, quota // period))


class LocalEngine:
    """Workers that have a function open, started when they are first asked for. Use as a context manager.

    Args:
        function: what scores.
        options: the same for all jobs.
        workers: how many.
    """

    def __init__(self, function: BatchFunction, options: Options, workers: int) -> None:
        self._command = [*function.command, *command(str(function.root), options)]
        self._environment = function.environment
        self._options = options
        self._workers = workers
        self._pool: Pool | None = None

    def open_scoring(self, item: Input) -> Callable[[Any], Any]:
        """Return what ``Job`` takes to score an input."""

        def opened(stream: Any) -> Any:
            store, stat = item.store, item.stat
            file = None
            if isinstance(store, LocalStore) and not is_compressed(store.read(stat.key, 0, 4, stat.version)):
                file = store.path(stat.key), stat.version
            return self.pool().open(stat.key, stream, self._options, file)

        return opened

    def pool(self) -> Pool:
        """Return the workers, which open the model while this process goes on."""
        if self._pool is None:
            self._pool = Pool(self._command, self._workers, self._environment)
        return self._pool

    def score(self, jobs: Sequence[Job], progress: Callable[[Progress], None]) -> Iterator[Outcome]:
        """Do jobs one after the other, and yield how each ended.

        Args:
            jobs: what is to be done.
            progress: is told the sum over all jobs.

        Raises:
            ColdpressError: a worker cannot open the model, a store refuses, or another process is at work on a job.
        """
        before = Progress(0, 0, 0)
        for job in jobs:

            def tell(done: Progress, before: Progress = before) -> None:
                progress(Progress(*map(sum, zip(before, done, strict=True))))

            outcome = run_job(job, progress=tell, lease_s=_LEASE_S, save_s=_SAVE_S)
            result = result_key(job.layout.scores, job.options.output_format)
            if result != job.layout.scores and job.layout.store.stat(result) is None:
                write_table(job, outcome, self.pool().signature.outputs)
            rows = outcome.manifest.get("rows", {"scored": 0, "rejected": 0})
            done = Progress(rows["scored"], rows["rejected"], job.input.size)
            before = Progress(*map(sum, zip(before, done, strict=True)))
            progress(before)
            yield outcome

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
