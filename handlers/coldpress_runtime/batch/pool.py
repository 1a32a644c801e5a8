"""Chunks scored by worker processes: as many at once as there are processors, the results in the order of the input.

A worker may die of a record: a kernel that ends the process, or the system that ends it for its memory. Its chunk is
tried once more in a fresh one, and if that one dies too, record by record, so that what is lost is that record alone.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
from collections import Counter, deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime import errors
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.formats import START_BYTES, open_format
from coldpress_runtime.batch.frames import Channel
from coldpress_runtime.batch.reading import read_fully
from coldpress_runtime.batch.scoring import Scored
from coldpress_runtime.batch.told import signature_of
from coldpress_runtime.errors import BatchError, ColdpressError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from coldpress_runtime.batch.chunks import Chunk, Format, Stream
    from coldpress_runtime.batch.features import Signature
    from coldpress_runtime.batch.options import Options

__all__ = ["Pool"]

_AHEAD = 3  # chunks that a worker is given at a time: the next one is there when it has done one
_DEATHS = 32


class _Object(NamedTuple):
    """What workers must know of an input to read its records.

    Attributes:
        name: the input's.
        start: its first bytes, decompressed.
        file: the path and the version of the file that it is as it stands; None where there is none.
    """

    name: str
    start: bytes
    file: tuple[str, str] | None


class _EndedError(Exception):
    """A worker has ended, and was not told to."""


class _Task:
    """A chunk of an object on its way; ``scored`` is there when it is back.

    Args:
        of: the object.
        chunk: its records.
        start: where they lie in the object's file, from which workers read them then; None: they are to be sent.
    """

    def __init__(self, of: _Object, chunk: Chunk, start: int | None) -> None:
        self.of = of
        self.chunk = chunk if start is None else chunk._replace(data=b"")
        self.span = None if start is None else [start, start + len(chunk.data)]
        self.scored: Scored | None = None
        self.died = False  # of it
        self.given_up = False  # by who asked for it


class _Worker:
    """A process, and what it has been given and has not answered yet."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the process that keeps the state; this one ends with its input
        )
        self.tasks: deque[_Task] = deque()
        self._signature: Signature | None = None
        self._knows: _Object | None = None
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None  # noqa: S101 - both were asked for
        assert stdout is not None  # noqa: S101
        self.channel = Channel(os.dup(stdout.fileno()), os.dup(stdin.fileno()))
        stdin.close()
        stdout.close()

    def give(self, task: _Task, **alone: Any) -> None:
        """Send a chunk. That nobody reads it shows when the answer is waited for."""
        self.tasks.append(task)
        with contextlib.suppress(BrokenPipeError):
            if task.of is not self._knows:
                self._knows = task.of
                self.channel.send({"object": task.of.name, "file": task.of.file}, task.of.start)
            first, records, data, end, reason = task.chunk
            self.channel.send({"chunk": [first, records, list(end), reason], "span": task.span, **alone}, data)

    @property
    def signature(self) -> Signature:
        """What the model takes, which a worker tells first; raises ColdpressError when it cannot open it."""
        while self._signature is None:
            self.receive()
        return self._signature

    def receive(self) -> Scored | None:
        """Wait for the next message; return an answer if it is one.

        Raises:
            _EndedError: the process has ended.
            ColdpressError: the worker says that it cannot go on, or has ended before it could begin.
        """
        message = self.channel.receive()
        if message is None:
            if self._signature is not None:
                raise _EndedError
            raise BatchError(
                f"A worker ended with {self.how()} before it had opened the model; see what it wrote, and whether "
                "there is memory for so many workers."
            )
        head, blobs = message
        if "error" in head:
            kind, text = head["error"]
            raise getattr(errors, kind, BatchError)(text)
        if "signature" in head:
            self._signature = signature_of(head["signature"])
            return None
        first, count, end, scored, rejected, seconds = head["scored"]
        output, rejects = blobs
        return Scored(first, count, Position(*end), output, rejects, scored, rejected, seconds)

    def how(self) -> str:
        """Say how the process ended."""
        status = self.process.wait()
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"

    def close(self) -> None:
        """End the process, and what its hooks have started."""
        self.channel.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


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
        self._workers: list[_Worker] = []
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
        return _Scoring(form, partial(self._map, of=_Object(name, start, file)))

    def _map(self, chunks: Iterable[Chunk], of: _Object) -> Iterator[Scored]:
        waiting = iter(chunks)
        order: deque[_Task] = deque()
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
                        order.append(_Task(of, chunk, start if of.file and verbatim else None))
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

    def _start(self) -> _Worker:
        worker = _Worker(self._command, self._environment)
        self._workers.append(worker)
        self._selector.register(worker.channel.source, selectors.EVENT_READ, worker)
        return worker

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.channel.source)
        worker.close()

    def _take(self, worker: _Worker) -> None:
        """Take an answer, or put a fresh process in the place of one that has ended."""
        try:
            scored = worker.receive()
        except _EndedError:
            self._replace(worker)
        except ColdpressError:
            if not worker.tasks or not worker.tasks[0].given_up:
                raise
            self._replace(worker)
        else:
            if scored is not None:
                worker.tasks.popleft().scored = scored

    def _replace(self, worker: _Worker) -> None:
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

    def _score_one_by_one(self, task: _Task) -> None:
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
            except _EndedError:
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
