"""Chunks scored by worker processes: as many at once as there are processors, the results in the order of the input.

A worker may die of a record: a kernel that ends the process, or the system that ends it for its memory. Its chunk is
tried once more in a fresh one, and if that one dies too, record by record, so that what is lost is that record alone.
"""

from __future__ import annotations

import selectors
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.formats import START_BYTES, open_format
from coldpress_runtime.batch.process import EndedError, Object, Task, Worker
from coldpress_runtime.batch.reading import read_fully
from coldpress_runtime.batch.scoring import Scored
from coldpress_runtime.errors import BatchError, ColdpressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from coldpress_runtime.batch.chunks import Chunk, Format, Position, Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.batch.options import Options

__all__ = ["Pool"]

_AHEAD = 3  # chunks that a worker is given at a time: the next one is there when it has done one
_DEATHS = 32


class _Scoring(NamedTuple):
    """Chunks of one input scored: see ``job.Scoring``. A few chunks are held at once."""

    form: Format
    map: Callable[[Iterable[Chunk]], Iterator[Scored]]


class Pool:
    """Worker processes that all have the same function open. Use as a context manager.

    Args:
        command: what starts a worker, a process that does ``coldpress_runtime.batch.worker.serve``.
        workers: how many.
        environment: their variables; None: this process's own.
        deaths: so many records may end a process; with one more, the model is to blame.
    """

    def __init__(
        self,
        command: Sequence[str],
        workers: int,
        environment: Mapping[str, str] | None = None,
        deaths: int = _DEATHS,
    ) -> None:
        self._command = command
        self._environment = environment
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._deaths_left = deaths
        try:
            for _ in range(workers):
                self._start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Pool:  # noqa: PYI034  (typing.Self is not loaded in functions)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers, at whatever they are; closing twice is fine."""
        while self._workers:
            self._workers.pop().close()
        self._selector.close()

    @property
    def signature(self) -> Signature:
        """What the model takes and gives; raises ColdpressError when a worker cannot open it."""
        return self._workers[0].signature

    def open(self, name: str, stream: Stream, options: Options, file: tuple[str, str] | None = None) -> _Scoring:
        """Return how the workers score an input.

        Args:
            name: the input's.
            stream: its bytes from the start, decompressed.
            options: what workers were started with.
            file: the path and the version of the file that the input is, where it is one and not compressed: workers
                then read from it what they are to score.

        Raises:
            InputError: it is of no kind that is scored.
            ColdpressError: a worker cannot open the model.
        """
        start = read_fully(stream, START_BYTES)
        form = open_format(name, start, self.signature, options)
        return _Scoring(form, partial(self._map, of=Object(name, start, file)))

    def _map(self, chunks: Iterable[Chunk], of: Object) -> Iterator[Scored]:
        waiting = iter(chunks)
        order: deque[Task] = deque()
        before: Position | None = None
        more = True
        try:
            while True:
                while more and len(order) < _AHEAD * len(self._workers):
                    chunk = next(waiting, None)
                    more = chunk is not None
                    if chunk is not None:
                        start = chunk.end.offset - len(chunk.data)
                        verbatim = before is not None and before.offset == start and not chunk.reason
                        order.append(Task(of, chunk, start if of.file and verbatim else None))
                        before = chunk.end
                        min(self._workers, key=lambda worker: len(worker.tasks)).give(order[-1])
                if not order:
                    return
                while (scored := order[0].scored) is None:
                    for key, _ in self._selector.select():
                        self._take(key.data)
                order.popleft()
                yield scored
        finally:
            for task in order:
                task.given_up = True

    def _start(self) -> Worker:
        worker = Worker(self._command, self._environment)
        self._workers.append(worker)
        self._selector.register(worker.channel.source, selectors.EVENT_READ, worker)
        return worker

    def _end(self, worker: Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.channel.source)
        worker.close()

    def _take(self, worker: Worker) -> None:
        """Take an answer, or put a fresh process in the place of one that has ended."""
        try:
            scored = worker.receive()
        except EndedError:
            self._replace(worker)
        except ColdpressError:
            if not worker.tasks or not worker.tasks[0].given_up:
                raise
            self._replace(worker)
        else:
            if scored is not None:
                worker.tasks.popleft().scored = scored

    def _replace(self, worker: Worker) -> None:
        self._end(worker)
        begun = worker.tasks[0] if worker.tasks else None
        given = deque(task for task in worker.tasks if not task.given_up)
        if begun is not None and not begun.given_up:
            if begun.died:
                self._score_one_by_one(given.popleft())
            begun.died = True  # those after it were not begun
        fresh = self._start()
        for task in given:
            fresh.give(task)

    def _score_one_by_one(self, task: Task) -> None:
        """Score a chunk of which processes die, a record at a time; what a process dies of is a reject.

        Where a process dies before it has come to any record, none of those that are left can be told from the others,
        and all are rejects.
        """
        row, end = task.chunk.first, task.chunk.first + task.chunk.records
        lost, rest = "", False
        parts: list[Scored] = []
        while row < end:
            worker, begun = self._start(), row
            worker.give(task, row=row, lost=lost, rest=rest)
            try:
                while row < end:
                    if (scored := worker.receive()) is not None:
                        parts.append(scored)
                        row += scored.count
            except EndedError:
                rest = bool(lost) and row == begun
                lost = f"The process that ran the model on this record ended with {worker.how()}."
                if not self._deaths_left:
                    raise BatchError(
                        f"The process that runs the model ended with {worker.how()} at record {row}, and so it did at "
                        "too many others; mend the model or its hooks, or score with fewer workers."
                    ) from None
                self._deaths_left -= 1
            finally:
                self._end(worker)
        task.scored = _joined(task.chunk, parts)


def _joined(chunk: Chunk, parts: Sequence[Scored]) -> Scored:
    seconds: Counter[str] = Counter()
    for part in parts:
        seconds.update(part.seconds)
    return Scored(
        chunk.first,
        chunk.records,
        chunk.end,
        b"".join(part.output for part in parts),
        b"".join(part.rejects for part in parts),
        sum(part.scored for part in parts),
        sum(part.rejected for part in parts),
        dict(seconds),
    )
