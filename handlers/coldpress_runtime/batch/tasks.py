"""What one invocation of a state machine's Map does: a batch of items, as many as there is time for."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from coldpress_runtime.batch.blocks import Blocks
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.emf import Metrics
from coldpress_runtime.batch.job import Outcome
from coldpress_runtime.batch.parts import Gathered, delete_parts, known_position, score_range
from coldpress_runtime.batch.ranges import Lines, Range, survey
from coldpress_runtime.batch.runner import IDLE_TURNS
from coldpress_runtime.batch.stores import Stat, open_store
from coldpress_runtime.errors import BatchError, ChangedError, ColdpressError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from coldpress_runtime.batch.chunks import Chunk, Format, Sizes, Stream
    from coldpress_runtime.batch.job import Job, Scoring
    from coldpress_runtime.batch.parts import Part
    from coldpress_runtime.batch.runner import Runners
    from coldpress_runtime.batch.scoring import Scored
    from coldpress_runtime.batch.stores import Store

__all__ = ["Tasks"]


class Tasks:
    """The work of a function on a state machine's items.

    Args:
        runners: what scores.
    """

    def __init__(self, runners: Runners) -> None:
        self._runners = runners
        self._metrics = Metrics(runners.runner.model.name)

    def work(self, batch: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Do what there is time for.

        Args:
            batch: ``Items``, and in ``BatchInput`` the bucket as a ``place`` and the run's folder there, as the Map
                hands them over.
            seconds_left: how long the invocation may still last.

        Returns:
            The batch with the items that are left, and how many these are: ``left``.

        Raises:
            StoreError: nothing could be done, and may later.
        """
        shared, items = batch["BatchInput"], batch["Items"]
        store = open_store(shared["place"])[0]
        results: list[dict[str, Any]] = []
        rest: list[dict[str, Any]] = []
        problem: StoreError | None = None
        for item in items:
            if seconds_left() < 0:
                rest.append(item)
                continue
            try:
                result = self._do(store, shared["place"], item, seconds_left)
            except ChangedError as error:
                result = _told(item, Outcome("gone", {}, str(error)))
            except StoreError as error:
                problem = error
                rest.append(item)
                continue
            except ColdpressError as error:
                result = _told(item, Outcome("failed", {}, str(error)))
            (rest if result is item else results).append(result)
        if problem is not None and not results and len(rest) == len(items):
            raise problem
        _keep(store, shared["folder"], results)
        return {"BatchInput": shared, "Items": rest, "left": len(rest)}

    def _do(self, store: Store, place: str, item: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Do one item and say what it came to; or return the item, for another invocation to go on with."""
        stat = Stat(*item["stat"])
        if item["kind"] == "survey":
            lines = Lines(*item["lines"])
            found = survey(store, stat, lines, tuple(item["span"]), item["begin"])
            return {**_told(item, Outcome("done", {})), "span": item["span"], "survey": found}
        if not stat.version:
            return _told(item, Outcome("gone", {}, "There is no such object."))
        runner = self._runners.runner
        job = runner.job(store, stat, place + stat.key)
        runner.check_names(job)
        if store.stat(job.layout.manifest) is None:
            if item["kind"] == "range":
                return self._score_range(job, item, Range(*(Position(*place) for place in item["range"])), seconds_left)
            if item["kind"] == "gather":
                return self._gather(job, item, seconds_left)
        return self._run(job, item, seconds_left)

    def _run(self, job: Job, item: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
        with self._runners.use() as runner:
            outcome, row = runner.run(job, seconds_left)
        self._metrics.add(outcome)
        if outcome.status == "unfinished":
            return _again(item, row)
        return _told(item, outcome)

    def _score_range(
        self, job: Job, item: dict[str, Any], cut: Range, seconds_left: Callable[[], float]
    ) -> dict[str, Any]:
        parts, row = self._parts(job, cut, seconds_left)
        return _again(item, row) if parts is None else _told(item, Outcome("done", {}))

    def _gather(self, job: Job, item: dict[str, Any], seconds_left: Callable[[], float]) -> dict[str, Any]:
        """Make the job of a large file's parts; what somebody could not score is scored here."""
        begin = known_position(job.layout)
        parts, row = self._parts(job, Range(begin, Position(*item["stop"])), seconds_left)
        if parts is None:
            return _again(item, row)
        gathered = Gathered(job.layout, parts)
        result = self._run(job._replace(open_scoring=lambda _stream: gathered), item, seconds_left)
        if result is not item:
            delete_parts(job.layout, parts)
        return result

    def _parts(self, job: Job, cut: Range, seconds_left: Callable[[], float]) -> tuple[list[Part] | None, int]:
        """Score what of a range is not scored yet; return its parts, None when time is up before, and how far it is."""
        with self._runners.use(), Blocks(job.store, job.input, ahead=1) as head:
            scoring = _Timed(job.open_scoring(head), seconds_left)
            try:
                return score_range(job, scoring, cut), cut.stop.row
            except _TimeIsUp:
                return None, scoring.row


class _TimeIsUp(Exception):  # noqa: N818 - it is no error
    """No time is left to begin another chunk."""


class _Timed:
    """A job's scoring that begins no chunk when time is up: what is scored by then becomes a part."""

    seeks = False

    def __init__(self, scoring: Scoring, seconds_left: Callable[[], float]) -> None:
        self.form: Any = self
        self.row = 0
        self._scoring = scoring
        self._seconds_left = seconds_left

    def chunks(self, stream: Stream, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        """Yield chunks while there is time."""
        if self._seconds_left() < 0:
            raise _TimeIsUp
        form: Format = self._scoring.form
        for chunk in form.chunks(stream, start, sizes):
            yield chunk
            self.row = max(self.row, chunk.end.row)
            if self._seconds_left() < 0:
                return

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Scored]:
        """Yield the chunks scored."""
        return self._scoring.map(chunks)


def _again(item: dict[str, Any], row: int) -> dict[str, Any]:
    """Return the item for another invocation.

    Raises:
        BatchError: several came no further.
    """
    idle = item.get("idle", 0) + 1 if row <= item.get("row", 0) else 0
    if idle >= IDLE_TURNS:
        raise BatchError(
            f"{idle} invocations came no further than row {row}; give the function more time or memory "
            "(batch.timeout_s, batch.memory_mb)."
        )
    item.update(row=row, idle=idle)
    return item


def _told(item: dict[str, Any], outcome: Outcome) -> dict[str, Any]:
    """What a report says of an item."""
    told = {"kind": item["kind"], "key": item["stat"][0], "status": outcome.status, "reason": outcome.reason}
    return {**told, "rows": outcome.manifest.get("rows")}


def _keep(store: Store, folder: str, results: list[dict[str, Any]]) -> None:
    """Write results where the report finds them; the same results have the same name."""
    by_kind: dict[str, list[bytes]] = {}
    for result in results:
        by_kind.setdefault(result["kind"], []).append(json.dumps(result).encode() + b"\n")
    for kind, lines in by_kind.items():
        content = b"".join(lines)
        store.put(f"{folder}{kind}/{hashlib.sha256(content).hexdigest()[:32]}.jsonl", content)
