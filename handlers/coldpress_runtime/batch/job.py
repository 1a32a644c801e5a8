"""One object in, one job done: each of its rows in the scores once, or in the rejects once.

The order of things, each of which may be the last that a process does::

    claim      the checkpoint is this process's now; whoever had it before stops at the next write
    score      chunks in the order of the input; whole parts are uploaded, and the state is saved after each
    complete   all is read: the state says so, and holds whatever is in no part yet
    finish     the rejects appear, then the scores, whole and only where there are none, then the manifest
    forget     the checkpoint is deleted

A process that starts learns from the manifest and the checkpoint how far the one before it came, and goes on there.
Nothing counts before it is saved: what a killed process did after that is done again. Nothing is finished before it is
saved that all is read: whoever finishes, makes the same objects.
"""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from coldpress_runtime.batch.account import Outcome, done_before, failure_of, manifest_of
from coldpress_runtime.batch.blocks import Blocks, WholeFile
from coldpress_runtime.batch.checkpoint import Checkpoint
from coldpress_runtime.batch.chunks import Reject
from coldpress_runtime.batch.compression import decompress, is_compressed
from coldpress_runtime.batch.pace import Pace
from coldpress_runtime.batch.scoring import reject_line
from coldpress_runtime.errors import BatchError, ChangedError, ConflictError, InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from coldpress_runtime.batch.checkpoint import State
    from coldpress_runtime.batch.chunks import Chunk, Format, Stream
    from coldpress_runtime.batch.layout import Layout, Model
    from coldpress_runtime.batch.options import Options
    from coldpress_runtime.batch.scoring import Scored
    from coldpress_runtime.batch.stores import Stat, Store

__all__ = ["Job", "Outcome", "Progress", "Scoring", "run_job"]

_LEASE_S = 10.0
_SAVE_S = 3.0
_MARGIN_S = 4  # chunks that an owner may be silent for, beside its lease


class Scoring(Protocol):
    """How the records of one object are found, and who scores them.

    Attributes:
        form: what the object's records look like.
    """

    form: Format

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Scored]:
        """Yield the chunks scored, in their order."""
        ...


class Job(NamedTuple):
    """What is to be done.

    Attributes:
        store: where the input lies.
        input: the object, as it was when it was found.
        url: the input's, for the manifest.
        layout: where results go.
        model: what scores.
        options: what was asked for.
        open_scoring: takes the beginning of the input, decompressed, and says how it is scored; raises InputError when
            it is of no kind that can be.
    """

    store: Store
    input: Stat
    url: str
    layout: Layout
    model: Model
    options: Options
    open_scoring: Callable[[Stream], Scoring]


class Progress(NamedTuple):
    """How far a job is: rows by what became of them, and bytes of the object that have been read."""

    scored: int
    rejected: int
    bytes: int


def run_job(
    job: Job,
    *,
    deadline: Callable[[], float] | None = None,
    progress: Callable[[Progress], None] | None = None,
    lease_s: float = _LEASE_S,
    save_s: float = _SAVE_S,
) -> Outcome:
    """Do a job, or go on with it.

    Args:
        job: what is to be done.
        deadline: returns how many seconds this process has; the state is saved in time.
        progress: is told after every chunk.
        lease_s: a process that died without a word keeps others waiting for so long.
        save_s: the state is saved at least so often, and whenever a part is uploaded.

    Raises:
        ConflictError: another process is at work on the job, or something else has the name of its results.
        StoreError: a store refuses.
        BatchError: the model cannot be run at all.
    """
    layout = job.layout
    if outcome := done_before(layout):
        return outcome
    time_left = deadline or (lambda: inf)
    checkpoint = Checkpoint(layout, lease_s)
    state = checkpoint.claim(time_left)
    if state is None:
        return Outcome("unfinished", {}, "Time was up before it was clear whether the job's last process has died.")
    run = _Run(job, checkpoint, state, Pace(time_left), progress, save_s)
    try:
        return done_before(layout) or run.all()
    except ConflictError:
        raise
    except BaseException:
        with suppress(StoreError):
            checkpoint.release()
        raise


class _Run:
    """One process's part in a job."""

    def __init__(
        self,
        job: Job,
        checkpoint: Checkpoint,
        state: State,
        pace: Pace,
        progress: Callable[[Progress], None] | None,
        save_s: float,
    ) -> None:
        self.job = job
        self.checkpoint = checkpoint
        self.state = state
        self.pace = pace
        self.progress = progress
        self.save_s = save_s
        self.lease_s = checkpoint.lease_s
        self.began = self.saved = perf_counter()
        self.stopped = False
        self.damage = ""

    def all(self) -> Outcome:
        """Score what is left and finish, or stop in time."""
        self._refuse_taken_name()
        started_over = False
        while True:
            try:
                return self._go_on()
            except ConflictError:
                if started_over or self.job.layout.store.stat(self.job.layout.scores) is not None:
                    raise
                # This process's upload is no more (stores clear old ones away), or the job is somebody else's; then
                # this raises.
                started_over = True
                runs = self.state.runs
                self.state = self.checkpoint.fresh()
                self.state.runs = runs
                self._save()

    def _go_on(self) -> Outcome:
        if not self.state.complete:
            try:
                self._score()
            except ChangedError as change:
                return self._forget(change)
        if self.stopped:
            self._save(release=True)
            return Outcome("unfinished", {}, "Time is up; run the job again to go on.")
        return self._finish()

    def _score(self) -> None:
        state, job = self.state, self.job
        self.stopped, self.damage = False, ""
        try:
            with Blocks(job.store, job.input, ahead=1) as head:
                start = head.peek()
                scoring = job.open_scoring(_Beginning(decompress(head)))
            source, stream = self._opened(scoring.form, start)
        except InputError as problem:
            state.complete, state.failure = True, str(problem)
            self._save()
            return
        with source:
            for scored in scoring.map(self._chunks(scoring.form, stream)):
                self._take(scored, source)
        if self.stopped:
            return
        state.damage = self.damage
        if state.damage and state.position.row:
            state.rejects.add(reject_line(Reject(state.position.row, state.damage, b"")))
            state.rejected += 1
        state.failure = failure_of(state, job.options.max_rejects)
        state.complete = True
        self._save()

    def _opened(self, form: Format, start: bytes) -> tuple[Blocks | WholeFile, Any]:
        """Open the input: what is fetched, and what the format reads from there on.

        Args:
            form: what the records look like.
            start: the input's first bytes.
        """
        store, stat, offset = self.job.store, self.job.input, self.state.position.offset
        if is_compressed(start):
            if form.seeks:
                raise InputError(
                    "The input is compressed as a whole, and of a kind that is read in parts; decompress it."
                )
            source = Blocks(store, stat, known=start)
            return source, decompress(source, offset)
        if form.seeks:
            whole = WholeFile(store, stat)
            return whole, whole
        source = Blocks(store, stat, offset, b"" if offset else start)
        return source, source

    def _chunks(self, form: Format, stream: Any) -> Iterator[Chunk]:
        try:
            for chunk in form.chunks(stream, self.state.position, self.pace.sizes):
                yield chunk
                if self.pace.is_over():
                    self.stopped = True
                    return
        except InputError as problem:
            self.damage = str(problem)

    def _take(self, scored: Scored, source: Blocks | WholeFile) -> None:
        """Count a chunk in, upload what is a part by now, and save the state now and then."""
        state, store = self.state, self.job.layout.store
        rows = scored.scored + scored.rejected
        if scored.first != state.position.row or rows != scored.count or scored.end.row != scored.first + rows:
            found = f"Of the {scored.count} records from {scored.first} on, {rows} came back"
            raise BatchError(f"{found}; this is a fault of coldpress, please report it.")
        state.position = scored.end
        state.scored += scored.scored
        state.rejected += scored.rejected
        state.scores.add(scored.output)
        state.rejects.add(scored.rejects)
        for part, seconds in (*scored.seconds.items(), ("read", source.take_seconds())):
            state.seconds[part] = state.seconds.get(part, 0.0) + seconds
        self.pace.learn(scored)
        for output in (state.scores, state.rejects):
            while output.is_due(store):
                self._timed(output.send, store)
                self._save()
        if perf_counter() - self.saved > self.save_s:
            self._save()
        if self.progress is not None:
            self.progress(Progress(state.scored, state.rejected, source.position))

    def _save(self, *, release: bool = False) -> None:
        self._count_seconds()
        self.checkpoint.lease_s = self.lease_s + _MARGIN_S * self.pace.slowest_s
        self._timed(self.checkpoint.save, self.state, release=release)
        self.saved = perf_counter()

    def _count_seconds(self) -> None:
        now = perf_counter()
        self.state.seconds["total"] = self.state.seconds.get("total", 0.0) + now - self.began
        self.began = now

    def _timed(self, write: Callable[..., None], *arguments: Any, **named: Any) -> None:
        began = perf_counter()
        write(*arguments, **named)
        seconds = perf_counter() - began
        self.pace.write_took(seconds)
        self.state.seconds["write"] = self.state.seconds.get("write", 0.0) + seconds

    def _finish(self) -> Outcome:
        """Make what is complete appear. Any process may do it again, and makes the same."""
        state, layout = self.state, self.job.layout
        if state.rejects.size:
            self._timed(state.rejects.finish, layout.store)
        if state.failure:
            state.scores.abandon(layout.store)
        else:
            self._timed(state.scores.finish, layout.store)
        self._count_seconds()
        manifest = manifest_of(self.job, state)
        try:
            layout.store.put(layout.manifest, json.dumps(manifest, indent=1).encode() + b"\n", replaces="")
        except ConflictError:
            return done_before(layout) or Outcome(manifest["status"], manifest, state.failure)
        self.checkpoint.delete()
        return Outcome(manifest["status"], manifest, state.failure)

    def _forget(self, change: ChangedError) -> Outcome:
        """Give up what was done of an input that is no more."""
        gone = self.state
        self.state = self.checkpoint.fresh()
        self._save()  # or the job is somebody else's
        gone.scores.abandon(self.job.layout.store)
        gone.rejects.abandon(self.job.layout.store)
        self.checkpoint.delete()
        return Outcome("gone", {}, str(change))

    def _refuse_taken_name(self) -> None:
        """Look before any work is done whether its result will have a place."""
        name = self.job.layout.scores
        if self.state.runs == 1 and self.job.layout.store.stat(name) is not None:
            self._save()  # or the job is somebody else's, and so are the scores
            self.checkpoint.delete()
            raise ConflictError(f"{name} exists already; delete it, or choose another name for the scores.")


class _Beginning:
    """The start of an input, which ends where it is damaged: the rows before that are to be scored."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._found = False

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes; raises InputError when there are none before the damage."""
        try:
            block = self._stream.read(size)
        except InputError:
            if not self._found:
                raise
            return b""
        self._found = self._found or bool(block)
        return block
