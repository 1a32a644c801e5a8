"""Jobs small enough for tests: a real format and a real function to score with, and stores in which things go wrong."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from coldpress_runtime.batch.chunks import Chunk, Position, Reject, Rows, Sizes
from coldpress_runtime.batch.job import Job, run_job
from coldpress_runtime.batch.layout import Model, below, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.scoring import Scored, reject_line
from coldpress_runtime.batch.stores import Store
from coldpress_runtime.errors import ConflictError, InputError

__all__ = ["MODEL", "Doubling", "Killed", "Lines", "Saboteur", "accounted", "haunt", "job", "numbers"]

MODEL = Model("doubling", "1", "d" * 64)
_DAMAGE = b"damage"


class Lines:
    """A whole number a line; every chunk is cut off a stream that is read a few bytes at a time.

    A line ``damage`` stands for a place at which the input cannot be read any further.
    """

    def __init__(self, *, seeks: bool = False) -> None:
        self.seeks = seeks

    def chunks(self, stream: Any, start: Position, sizes: Sizes) -> Iterator[Chunk]:
        rest, place = b"", start
        if self.seeks:
            stream.seek(start.offset)
        while block := stream.read(min(sizes.bytes, 4096)):
            *lines, rest = (rest + block).split(b"\n")
            while lines:
                if _DAMAGE in lines[: sizes.rows]:
                    lines = lines[: lines.index(_DAMAGE)]
                    yield from [self._chunk(lines, place)] if lines else []
                    raise InputError("The input is damaged.")
                yield (chunk := self._chunk(lines[: sizes.rows], place))
                lines, place = lines[chunk.records :], chunk.end
        if rest:
            yield self._chunk([rest], place)

    def _chunk(self, lines: list[bytes], place: Position) -> Chunk:
        data = b"\n".join(lines) + b"\n"
        return Chunk(place.row, len(lines), data, Position(place.offset + len(data), place.row + len(lines)))

    def rows(self, chunk: Chunk) -> Rows:
        good, rejects = [], []
        for row, line in enumerate(chunk.data.split(b"\n")[:-1], chunk.first):
            if line.isdigit():
                good.append((row, int(line)))
            else:
                rejects.append(Reject(row, "not a number", line))
        columns = {"x": np.array([value for _, value in good], np.int64)}
        return Rows(np.array([row for row, _ in good], np.int64), columns, rejects)

    def record(self, chunk: Chunk, row: int) -> bytes:
        return chunk.data.split(b"\n")[row - chunk.first]


class Doubling:
    """Scores numbers by doubling them, in this process.

    Args:
        before: is called before each chunk is scored.
        seeks: whether the input is read as a file.
    """

    def __init__(self, before: Callable[[Chunk], object] = lambda _chunk: None, *, seeks: bool = False) -> None:
        self.form = Lines(seeks=seeks)
        self.before = before

    def map(self, chunks: Iterable[Chunk]) -> Iterator[Scored]:
        for chunk in chunks:
            self.before(chunk)
            rows = self.form.rows(chunk)
            pairs = zip(rows.numbers.tolist(), (2 * rows.columns["x"]).tolist(), strict=True)
            output = "".join(f'{{"row":{row},"y":{value}}}\n' for row, value in pairs).encode()
            rejects = b"".join(map(reject_line, rows.rejects))
            scored, rejected = len(rows.numbers), len(rows.rejects)
            yield Scored(chunk.first, chunk.records, chunk.end, output, rejects, scored, rejected, {"run": 1e-4})


def numbers(count: int, bad_every: int = 0) -> bytes:
    """Return an input of so many rows, of which some are no numbers."""
    return "".join(
        f"x{row}\n" if bad_every and row % bad_every == 3 else f"{7 * row}\n" for row in range(count)
    ).encode()


def job(
    store: Store, key: str = "in/numbers.txt", scoring: Callable[[Any], Any] = lambda _head: Doubling(), **options: Any
) -> Job:
    """Return the job of an object, whose results go below ``out/``."""
    stat, asked = store.stat(key), Options(**options)
    layout = below(store, "out/", key.removeprefix("in/"), job_id(stat, MODEL, asked))
    return Job(store, stat, f"test://{key}", layout, MODEL, asked, scoring)


def accounted(job: Job, content: bytes) -> dict[str, Any]:
    """Check that each row is in one place, once, and that the counts add up; return the manifest."""
    layout = job.layout
    manifest = json.loads(_content(layout.store, layout.manifest))
    scores = [json.loads(line) for line in _content(layout.store, manifest["outputs"]["scores"]).splitlines()]
    rejects = [json.loads(line) for line in _content(layout.store, manifest["outputs"]["rejects"]).splitlines()]
    lines = content.decode().splitlines()
    good = [(row, 2 * int(line)) for row, line in enumerate(lines) if line.isdigit()]
    bad = [(row, line) for row, line in enumerate(lines) if not line.isdigit()]
    assert [(score["row"], score["y"]) for score in scores] == good
    assert [(reject["row"], reject["record"]) for reject in rejects] == bad
    assert manifest["rows"] == {"read": len(lines), "scored": len(good), "rejected": len(bad)}
    assert layout.store.stat(layout.checkpoint) is None
    return manifest


def _content(store: Store, key: str | None) -> bytes:
    if key is None:
        return b""
    stat = store.stat(key)
    return store.read(key, 0, stat.size, stat.version)


class Killed(BaseException):
    """What a process notices of its own end in these tests."""


class Saboteur:
    """A store in which something happens at its n-th call, before the call or after it.

    Args:
        store: the store itself.
        call: at which call, from 0 on.
        after: whether the call has been done by then.
        act: what happens; None: the process is dead from then on, and reaches the store no more.
    """

    def __init__(self, store: Store, call: int, *, after: bool, act: Callable[[], object] | None = None) -> None:
        self.part_bytes = store.part_bytes
        self.calls: list[str] = []
        self._store, self._call, self._after, self._act = store, call, after, act
        self._dead = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            if self._dead:
                raise Killed
            due = len(self.calls) == self._call
            self.calls.append(name)
            if due and not self._after:
                self._happen()
            result = method(*arguments, **named)
            if due and self._after:
                self._happen()
            return result

        return watched

    def _happen(self) -> None:
        if self._act is None:
            self._dead = True
            raise Killed
        self._act()


def haunt(plain: Job, plan: Sequence[tuple[int, bool, str]]) -> None:
    """Do a job in many processes, each of which comes while the one before it is in the middle of a call.

    Args:
        plain: the job.
        plan: of each process, at which call it is interrupted, whether the call is done by then, and what happens:
            ``dies``; ``sleeps`` until the processes after it have ended, and wakes up; ``stops`` after the call: its
            time is up; ``clears``: the store drops all uploads.
    """
    if not plan:
        return
    (call, after, fate), *others = plan
    store = plain.layout.store
    time_left = 1000.0

    def happen() -> None:
        nonlocal time_left
        haunt(plain, others)
        if fate == "stops":
            time_left = 0.0
        elif fate == "clears":
            for key in (plain.layout.scores, plain.layout.rejects):
                store.abandon({"key": key, "upload": "none"})

    watched = Saboteur(store, call, after=after, act=None if fate == "dies" else happen)
    with suppress(Killed, ConflictError):
        run_job(plain._replace(layout=plain.layout._replace(store=watched)), lease_s=0.0, deadline=lambda: time_left)
    if fate == "dies":
        haunt(plain, others)
