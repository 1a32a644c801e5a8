"""What the ranges of a file came to, kept until all are there and the job is made of them.

A part is one object: a line of JSON, the rows' scores, the rejects. It is only ever written where there is none, and is
named after the place at which it begins; the next one begins where it ends. So however many processes score the same
range, and wherever each of them dies, there is one row of parts, and whoever comes later goes on behind the last.
"""

from __future__ import annotations

import json
from collections import Counter
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime.batch.blocks import Blocks
from coldpress_runtime.batch.chunks import Chunk, Position
from coldpress_runtime.batch.pace import Pace
from coldpress_runtime.batch.scoring import Scored
from coldpress_runtime.errors import ChangedError, ConflictError, InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from coldpress_runtime.batch.chunks import Format, Sizes, Stream
    from coldpress_runtime.batch.job import Job, Scoring
    from coldpress_runtime.batch.layout import Layout
    from coldpress_runtime.batch.ranges import Range

__all__ = ["Gathered", "Part", "delete_parts", "known_position", "score_range"]

_PART_BYTES = 32 << 20  # of scores, after which a part is written: what a process holds in memory
_HEAD_BYTES = 4 << 10


class Part(NamedTuple):
    """The head of a part.

    Attributes:
        start: where its first record begins.
        stop: where the next part does.
        scored: how many of its rows have scores.
        rejected: how many have none.
        output: how many bytes of scores it holds.
        rejects: how many bytes of rejects follow.
        damage: why the input cannot be read behind it.
        seconds: spent on ``read``, ``parse``, ``run`` and ``encode``.
    """

    start: Position
    stop: Position
    scored: int
    rejected: int
    output: int
    rejects: int
    damage: str
    seconds: dict[str, float]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Part:
        """Return the part that JSON has made a list of."""
        start, stop, *rest = values
        return cls(Position(*start), Position(*stop), *rest)


def score_range(job: Job, scoring: Scoring, cut: Range) -> list[Part]:
    """Score a range and keep what it comes to, as far as that is not there already.

    Args:
        job: the job of the whole file.
        scoring: how its records are found and scored.
        cut: the range.

    Raises:
        ChangedError: the file is no more, or another one.
        StoreError: a store refuses.
    """
    parts: list[Part] = []
    at = cut.start
    while at.row < cut.stop.row and not (parts and parts[-1].damage):
        if (there := _find(job.layout, at)) is not None:
            parts.append(there)
            at = there.stop
            continue
        for part in _scored(job, scoring, cut._replace(start=at)):
            if not _keep(job.layout, part):
                break  # another process was first
            parts.append(part.head)
            at = part.head.stop
    return parts


def known_position(layout: Layout) -> Position:
    """Where a job is by its checkpoint: what lies before it needs no part any more."""
    while (there := layout.store.stat(layout.checkpoint)) is not None:
        try:
            content = layout.store.read(layout.checkpoint, 0, there.size, there.version)
        except ChangedError:
            continue
        try:
            head = json.loads(content.partition(b"\n")[0])
            return Position(*head["position"]) if head["job"] == layout.job else Position()
        except (ValueError, KeyError, TypeError):
            break
    return Position()


def delete_parts(layout: Layout, parts: Iterable[Part]) -> None:
    """Delete parts, and those from the start of the file on that an earlier process left behind."""
    keys = dict.fromkeys(_key(layout, part.start) for part in parts)
    at = Position()
    while _key(layout, at) not in keys and (there := _find(layout, at)) is not None:
        keys[_key(layout, at)] = None
        at = there.stop
    for key in reversed(keys):  # what is left when this ends early can still be found
        layout.store.delete(key)


class Gathered:
    """A job's ``Scoring`` that scores nothing: its chunks are parts, and their scores are there.

    Args:
        layout: the job of the whole file.
        parts: all of them from where the job stands, in order.
        waited_s: how long this process has waited for them.
    """

    seeks = False

    def __init__(self, layout: Layout, parts: Sequence[Part], waited_s: float = 0.0) -> None:
        self.form: Any = self
        self._waited_s = waited_s
        self._layout = layout
        self._parts = {part.start.row: part for part in parts}

    def chunks(self, _stream: Stream, start: Position, _sizes: Sizes) -> Iterator[Chunk]:
        """Yield a chunk for each part from ``start`` on; raises InputError behind the damage."""
        for part in self._parts.values():
            if part.start.row >= start.row:
                yield Chunk(part.start.row, part.scored + part.rejected, b"", part.stop)
            if part.damage:
                raise InputError(part.damage)

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Scored]:
        """Yield what the parts hold."""
        for chunk in chunks:
            scored = _read(self._layout, self._parts[chunk.first])
            scored.seconds["total"], self._waited_s = self._waited_s, 0.0
            yield scored


class _Whole(NamedTuple):
    """A part with all that it holds."""

    head: Part
    output: list[bytes]
    rejects: list[bytes]


def _scored(job: Job, scoring: Scoring, cut: Range) -> Iterator[_Whole]:
    """Score a range; yield a part when there is enough for one, and at the end."""
    damage: list[str] = []
    pace = Pace(lambda: inf)
    with Blocks(job.store, job.input._replace(size=cut.stop.offset), cut.start.offset) as source:
        start, held, size = cut.start, list[Scored](), 0
        for scored in scoring.map(_chunks(scoring.form, source, cut.start, pace.sizes, damage)):
            pace.learn(scored)
            held.append(scored)
            size += len(scored.output) + len(scored.rejects)
            if size >= _PART_BYTES:
                yield _whole(start, held, source.take_seconds())
                start, held, size = scored.end, [], 0
        if held or damage:
            yield _whole(start, held, source.take_seconds(), *damage)


def _chunks(form: Format, stream: Stream, start: Position, sizes: Sizes, damage: list[str]) -> Iterator[Chunk]:
    try:
        yield from form.chunks(stream, start, sizes)
    except InputError as problem:
        damage.append(str(problem))


def _whole(start: Position, held: Sequence[Scored], read_s: float, damage: str = "") -> _Whole:
    seconds = Counter({"read": read_s})
    for scored in held:
        seconds.update(scored.seconds)
    output, rejects = [scored.output for scored in held], [scored.rejects for scored in held]
    head = Part(
        start,
        held[-1].end if held else start,
        sum(scored.scored for scored in held),
        sum(scored.rejected for scored in held),
        sum(map(len, output)),
        sum(map(len, rejects)),
        damage,
        dict(seconds),
    )
    return _Whole(head, output, rejects)


def _key(layout: Layout, start: Position) -> str:
    return f"{layout.checkpoint}-{layout.job}-{start.offset}"


def _keep(layout: Layout, part: _Whole) -> bool:
    """Write a part; say whether it was the first one that begins there."""
    content = b"".join((json.dumps(part.head).encode(), b"\n", *part.output, *part.rejects))
    try:
        layout.store.put(_key(layout, part.head.start), content, replaces="")
    except ConflictError:
        return False
    return True


def _find(layout: Layout, start: Position) -> Part | None:
    """The head of the part that begins at a place, None when there is none."""
    key = _key(layout, start)
    there = layout.store.stat(key)
    if there is None:
        return None
    line, newline, size = b"", b"", _HEAD_BYTES
    while not newline:
        line, newline, _ = layout.store.read(key, 0, min(size, there.size), there.version).partition(b"\n")
        size *= 8
    return Part.of(json.loads(line))


def _read(layout: Layout, part: Part) -> Scored:
    """All that a part holds."""
    key = _key(layout, part.start)
    there = layout.store.stat(key)
    if there is None:
        raise StoreError(
            f"{key}, which holds the scores of rows from {part.start.row} on, is not there any more; score again."
        )
    content = layout.store.read(key, 0, there.size, there.version)
    middle = len(content) - part.rejects
    output, rejects = content[middle - part.output : middle], content[middle:]
    count = part.scored + part.rejected
    return Scored(part.start.row, count, part.stop, output, rejects, part.scored, part.rejected, part.seconds)
