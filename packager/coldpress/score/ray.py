"""Jobs done on a Ray cluster of one's own: Ray Data hands out files, and ranges of large ones, to workers.

A worker has the function open once and does the whole job of a small file by itself. Of a large file of lines it scores
ranges into parts; when all parts are there, this process makes the scores and the manifest of them. Ray gives the task
of a worker that died to another one. What that does again is written under a condition, so that no row is there twice;
and when this process dies, what is written is found by the next one.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from coldpress.score import ray_worker
from coldpress.score.ray_cluster import Results, Tasks, join_cluster
from coldpress_runtime import errors
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.job import Job, Outcome, Progress, run_job
from coldpress_runtime.batch.parts import Gathered, Part, delete_parts, known_position
from coldpress_runtime.batch.ranges import Lines, Range, Survey, join, lines_of, range_bytes, slices
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import BatchError, ChangedError, ColdpressError, ConflictError, InputError, StoreError

__all__ = ["score_on_ray"]

_LOOKED_AT_HERE = 1 << 30  # bytes of files here, through which this process is sooner than workers are started
_AT_ONCE = 16  # stores answer slowly, and many at once
_LEASE_S = 3.0  # who runs a killed command again shall not wait long


def score_on_ray(
    jobs: Sequence[Job],
    target: str,
    build: Path,
    *,
    workers: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    range_size: Callable[[int], int] = range_bytes,
) -> list[Outcome]:
    """Do jobs on the cluster that ``RAY_ADDRESS`` names, else on one of this machine, which ends with this call.

    Args:
        jobs: of one model and with the same options, their results in one store. ``url`` of each leads to its input
            from every machine; ``open_scoring`` is not used.
        target: the place of that store, as ``open_store`` takes it.
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        workers: how many have the function open at once; None: as many as the cluster has CPUs.
        progress: is told the sum over all jobs whenever a worker has done a task.
        range_size: by a file's size, how many bytes of it a task is, where it is a plain one of lines.

    Returns:
        How each job ended.

    Raises:
        EmulateError: ``build`` is no function, or Ray is not installed.
        ColdpressError: a worker cannot open the function, a store refuses, another process is at work on a job. What
            was scored by then stays: to call this again goes on.
    """
    target = target if "://" in target else os.path.realpath(target) + "/"
    run = _Run(jobs, range_size, progress)
    if run.is_over():
        return run.outcomes()
    with join_cluster(build) as cluster:
        near = all("://" not in job.url for job in jobs) and sum(job.input.size for job in jobs) <= _LOOKED_AT_HERE
        run.score(_look_here if near else cluster.look, partial(cluster.score, target, jobs[0], workers))
    return run.outcomes()


def _look_here(tasks: Tasks) -> Results:
    """Look at slices in this process."""
    for number, words in tasks:
        (text,) = ray_worker.look({"task": [json.dumps(words | {"number": number})]})["result"]
        yield number, json.loads(text)


class _Cut(NamedTuple):
    """A large file of lines: what its lines are, where its job stands, and the slices from there on."""

    lines: Lines
    begin: Position
    spans: list[tuple[int, int]]


def _plan(
    jobs: Sequence[Job], range_size: Callable[[int], int], look: Callable[[Tasks], Results]
) -> dict[int, list[Range]]:
    """Return what is left of large files of lines, in ranges, by the job's number; all other files are read whole."""
    cuts = {number: cut for number, job in enumerate(jobs) if (cut := _cut(job, range_size))}
    words = {
        number: {"place": _place(jobs[number]), "stat": jobs[number].input, "lines": cut.lines, "begin": cut.begin}
        for number, cut in cuts.items()
    }
    surveys = defaultdict(list)
    tasks = [(number, words[number] | {"span": span}) for number, cut in cuts.items() for span in cut.spans]
    for number, result in look(tasks):
        if "survey" in result:
            surveys[number].append(Survey(*result["survey"]))
    # Where a slice could not be read, whoever reads the whole file says why.
    whole = [number for number, cut in cuts.items() if len(surveys[number]) == len(cut.spans)]
    ranges = {number: join(sorted(surveys[number]), cuts[number].lines, cuts[number].begin) for number in whole}
    unclear = [number for number, found in ranges.items() if found is None]
    for number, result in look([(number, words[number] | {"spans": cuts[number].spans}) for number in unclear]):
        ranges[number] = [Range(Position(*start), Position(*stop)) for start, stop in result.get("ranges", ())]
    return {number: found for number, found in ranges.items() if found}


def _cut(job: Job, range_size: Callable[[int], int]) -> _Cut | None:
    """Say how the rest of a file can be cut; None when it is to be read by one worker, or need not be read."""
    layout, size = job.layout, job.input.size
    if size <= (step := range_size(size)) or any(map(layout.store.stat, (layout.manifest, layout.scores))):
        return None
    try:
        lines, begin = lines_of(job.store, job.input, job.options), known_position(layout)
    except (InputError, ChangedError):
        return None
    if lines is None or begin.offset >= size:
        return None
    return _Cut(lines, begin, slices(size, begin.offset, step))


class _Run:
    """All jobs on their way; those that are done already are over at once.

    Args:
        jobs: what is to be done.
        range_size: by a file's size, how much of it a task is.
        progress: is told the sum over all jobs.
    """

    def __init__(
        self, jobs: Sequence[Job], range_size: Callable[[int], int], progress: Callable[[Progress], None] | None
    ) -> None:
        self._jobs = jobs
        self._range_size = range_size
        self._progress = progress
        self._done = Progress(0, 0, 0)
        self._began = time.perf_counter()
        self._parts: dict[int, list[Part]] = {}
        self._left: dict[int, int] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._conflicts: list[ColdpressError] = []
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for number, outcome in enumerate(threads.map(_done_before, jobs)):
                if outcome is not None:
                    self._end(number, outcome)

    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return len(self._outcomes) == len(self._jobs)

    def outcomes(self) -> list[Outcome]:
        """Return how each job ended; raises ConflictError when somebody else is at work on one."""
        if self._conflicts:
            raise self._conflicts[0]
        return [self._outcomes[number] for number in range(len(self._jobs))]

    def score(self, look: Callable[[Tasks], Results], score: Callable[[Tasks], Results]) -> None:
        """Have what is left scored.

        Args:
            look: looks at slices of large files.
            score: scores files and ranges.
        """
        ranges = _plan(self._jobs, self._range_size, look)
        self._parts = {number: [] for number in ranges}
        self._left = {number: len(found) for number, found in ranges.items()}
        self._count(0, 0, sum(found[0].start.offset for found in ranges.values()))
        for number, result in score(self._tasks(ranges)):
            if "error" in result:
                self._fail(number, *result["error"])
            elif "outcome" in result:
                self._end(number, Outcome(*result["outcome"]))
            else:
                self._take(number, [Part.of(values) for values in result["parts"]])

    def _tasks(self, ranges: Mapping[int, Sequence[Range]]) -> Tasks:
        """Large files first: when they are scored, they have yet to be put together."""
        tasks = []
        for number in sorted(
            set(range(len(self._jobs))) - self._outcomes.keys(), key=lambda place: place not in ranges
        ):
            job = self._jobs[number]
            words = {"place": _place(job), "url": job.url, "stat": job.input, "layout": job.layout[1:]}
            tasks += [(number, words | {"range": found}) for found in ranges.get(number, [None])]
        return tasks

    def _take(self, number: int, parts: list[Part]) -> None:
        self._parts[number] += parts
        self._left[number] -= 1
        self._count(
            sum(part.scored for part in parts),
            sum(part.rejected for part in parts),
            sum(part.stop.offset - part.start.offset for part in parts),
        )
        if not self._left[number] and number not in self._outcomes:
            job = self._jobs[number]
            gathered = Gathered(job.layout, sorted(self._parts[number]), time.perf_counter() - self._began)
            try:
                outcome = run_job(job._replace(open_scoring=lambda _head: gathered), lease_s=_LEASE_S)
            except ConflictError as conflict:
                self._conflicts.append(conflict)
                return
            delete_parts(job.layout, self._parts[number])
            self._outcomes[number] = outcome

    def _end(self, number: int, outcome: Outcome) -> None:
        """Take the outcome of a worker's job."""
        job = self._jobs[number]
        if outcome.status == "gone":
            self._refuse_unseen(job)
        elif isinstance(job.layout.store, LocalStore) and job.layout.store.stat(job.layout.manifest) is None:
            raise StoreError(_unseen(job.layout.manifest))
        rows = outcome.manifest.get("rows", {"scored": 0, "rejected": 0})
        self._count(rows["scored"], rows["rejected"], job.input.size)
        self._outcomes[number] = outcome
        if self._range_size(job.input.size) < job.input.size:
            delete_parts(job.layout, ())  # of a process that died before it did

    def _fail(self, number: int, kind: str, text: str) -> None:
        error: ColdpressError = getattr(errors, kind, BatchError)(text)
        if isinstance(error, ChangedError):
            self._refuse_unseen(self._jobs[number])
            self._outcomes[number] = Outcome("gone", {}, text)
            delete_parts(self._jobs[number].layout, self._parts[number])
        elif isinstance(error, ConflictError):
            self._conflicts.append(error)  # it is one file's, and the others can be done
        else:
            raise error

    def _refuse_unseen(self, job: Job) -> None:
        """Tell an input that is gone from one that workers cannot see."""
        if job.store.stat(job.input.key) == job.input:
            raise StoreError(_unseen(job.url))

    def _count(self, scored: int, rejected: int, read: int) -> None:
        done = self._done
        self._done = Progress(done.scored + scored, done.rejected + rejected, done.bytes + read)
        if self._progress is not None:
            self._progress(self._done)


def _done_before(job: Job) -> Outcome | None:
    """How a job has ended, when it has."""
    return run_job(job) if job.layout.store.stat(job.layout.manifest) is not None else None


def _unseen(name: str) -> str:
    return f"{name} is not the same on all machines of the cluster; use a bucket, or a folder that all of them share."


def _place(job: Job) -> str:
    """Where a job's input lies, as ``open_store`` takes it."""
    key = job.input.key
    path = job.url if "://" in job.url else os.path.realpath(job.url)
    return (path if path.endswith(f"/{key}") else job.url).removesuffix(key)
