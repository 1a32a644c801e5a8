"""The charts as geometry: where each mark lies, in percent of its frame. The template draws them."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from coldpress.report.document import Candidate, ColdStart, Document, Peer
from coldpress.report.groups import Group, Leaf
from coldpress.report.labels import FRAMES, Label, Spot, lay_out
from coldpress.report.treemap import Box, squarify
from coldpress.report.words import bytes_text, bytes_tick, plain, raised, shorten

__all__ = ["Cell", "Map", "Pareto", "Step", "Tick", "draw_map", "draw_pareto", "draw_waterfall"]

_ASPECT = 1.5  # width to height of a treemap
_NAME = 24  # characters of a name beside its mark
_BUDGET = 70  # percent from the left; a budget further right has its text on the left
_LOG_FROM = 30  # sizes further apart than so many times are drawn on a logarithmic axis


@dataclass(frozen=True)
class Cell:
    """A group or leaf of a treemap and where it is, in percent of the frame it lies in."""

    what: Group | Leaf
    box: Box
    inner: tuple["Cell", ...] = ()


@dataclass(frozen=True)
class Map:
    """A treemap; ``share`` is its side relative to the larger of the two maps, so that areas compare."""

    total: int
    share: float
    cells: tuple[Cell, ...]


def draw_map(groups: Sequence[Group], largest: int) -> Map:
    """Lay groups out, ``largest`` being the bytes of the map that takes all the room."""
    total = sum(group.bytes for group in groups)
    frame = Box(0, 0, _ASPECT, 1)
    cells = []
    for group, box in zip(groups, squarify([group.bytes for group in groups], frame), strict=True):
        inside = Box(0, 0, box.width, box.height)
        leaves = squarify([leaf.bytes for leaf in group.leaves], inside)
        inner = tuple(Cell(leaf, _percent(place, inside)) for leaf, place in zip(group.leaves, leaves, strict=True))
        cells.append(Cell(group, _percent(box, frame), inner))
    return Map(total, math.sqrt(total / largest) if largest else 1.0, tuple(cells))


def _percent(box: Box, frame: Box) -> Box:
    return Box(
        100 * box.left / frame.width if frame.width else 0.0,
        100 * box.top / frame.height if frame.height else 0.0,
        100 * box.width / frame.width if frame.width else 0.0,
        100 * box.height / frame.height if frame.height else 0.0,
    )


@dataclass(frozen=True)
class Tick:
    """A line of a grid, in percent from the left or from the bottom, and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True)
class Mark:
    """A point of the Pareto chart: percent from the left and from the bottom, and where the point leads.

    ``sides`` says where its name is beside it: the sides, and in windows of which sizes the name is there, see
    ``coldpress.report.labels``; there may be no room for it.
    """

    at: float
    up: float
    what: Candidate | Peer
    number: int
    sides: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def name(self) -> str:
        """What stands beside it."""
        return shorten(self.what.name, _NAME)


@dataclass(frozen=True)
class Pareto:
    """The chart of bytes against loss.

    Attributes:
        marks: Candidates and peers; those without a loss are left to the table.
        left_out: How many have no loss.
        front: Corners of the line that no accepted candidate is below.
        exact: Whether the bottom of the chart is no loss at all, below a logarithmic axis.
        budget: Where the byte budget is, None when there is none in sight.
        log_bytes: Whether sizes are on a logarithmic axis.
    """

    marks: tuple[Mark, ...]
    left_out: int
    front: tuple[tuple[float, float], ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    exact: bool
    budget: float | None
    log_bytes: bool


def draw_pareto(document: Document) -> Pareto | None:
    """Place every candidate and peer whose loss is known; None when there are fewer than two."""
    points: list[tuple[Candidate | Peer, float, int]] = []
    left_out = 0
    every: tuple[Candidate | Peer, ...] = (*document.candidates, *document.peers)
    for number, what in enumerate(every):
        loss = 0.0 if isinstance(what, Candidate) and what.original else what.loss
        if loss is None:
            left_out += 1
        else:
            points.append((what, max(0.0, loss), number))
    if len(points) < 2:
        return None
    sizes = [max(1, what.bytes) for what, _, _ in points]
    log_bytes = max(sizes) > _LOG_FROM * min(sizes)
    across = _log_axis(min(sizes), max(sizes), bytes_tick) if log_bytes else _linear_axis(max(sizes))
    losses = [loss for _, loss, _ in points if loss > 0]
    up = _log_axis(min(losses), max(losses), _power, low=14 if 0.0 in (p[1] for p in points) else 0) if losses else None
    marks = tuple(
        Mark(
            across.place(max(1, what.bytes)),
            up.place(loss) if up and loss > 0 else (5 if losses else 50),
            what,
            number,
        )
        for what, loss, number in points
    )
    budget = None if document.max_bytes is None else across.place(max(1, document.max_bytes))
    if budget is not None and not 0 <= budget <= 100:
        budget = None
    front = _front(marks)
    text = "" if budget is None else f"budget {bytes_text(document.max_bytes or 0)}"
    return Pareto(
        marks=_named(marks, front, budget, text),
        left_out=left_out,
        front=front,
        across=across.ticks,
        up=up.ticks if up else (),
        exact=any(loss == 0 for _, loss, _ in points),
        budget=budget,
        log_bytes=log_bytes,
    )


def _named(
    marks: tuple[Mark, ...], front: Sequence[tuple[float, float]], budget: float | None, text: str
) -> tuple[Mark, ...]:
    """Write the names of the model that ships and of the original beside them, then of those worth a look."""
    spots = [Spot(m.at, m.up, 24) if _state(m) == "chosen" else Spot(m.at, m.up) for m in marks]
    ranks = {number: rank for number, mark in enumerate(marks) if (rank := _rank(mark, front)) is not None}
    ordered = [Label(n, marks[n].name, coloured=ranks[n] < 2) for n in sorted(ranks, key=lambda n: (ranks[n], n))]
    lines, taken = list(pairwise(front)), []
    if budget is not None:
        lines.append(((budget, 0), (budget, 100)))
        taken.append((Spot(budget, 98), "left" if budget > _BUDGET else "right", text))
    sides: defaultdict[int, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for size, frames in FRAMES.items():
        labels = ordered if size != "small" else [label for label in ordered if ranks[label.mark] < 2]
        for number, side in lay_out(spots, labels, frames, lines=lines, taken=taken).items():
            sides[number][side].append(size)
    found = {number: tuple((side, tuple(sizes)) for side, sizes in each.items()) for number, each in sides.items()}
    return tuple(replace(mark, sides=found.get(number, ())) for number, mark in enumerate(marks))


def _state(mark: Mark) -> str:
    return mark.what.state if isinstance(mark.what, Candidate) else "peer"


def _rank(mark: Mark, front: Sequence[tuple[float, float]]) -> int | None:
    """Return how soon a mark gets its name; None for one that has it in its hint alone."""
    if (state := _state(mark)) in {"chosen", "original", "peer"}:
        return ["chosen", "original", "peer"].index(state)
    return 3 if (mark.at, mark.up) in front else None


@dataclass(frozen=True)
class _Axis:
    """Values from ``least`` to ``most`` mapped to ``low``..100 percent, by their logarithms when ``log``."""

    least: float
    most: float
    low: float
    log: bool
    ticks: tuple[Tick, ...] = ()

    def place(self, value: float) -> float:
        if self.log:
            share = math.log(value / self.least) / math.log(self.most / self.least)
        else:
            share = (value - self.least) / (self.most - self.least)
        return self.low + (100 - self.low) * share


def _linear_axis(most: float) -> _Axis:
    """From nothing to a little above ``most``, with a tick at four to eight round values."""
    step = 10 ** math.floor(math.log10(most))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if most / each <= 6)
    axis = _Axis(0, max(most * 1.06, step), 0, log=False)
    values = [number * step for number in range(int(axis.most / step) + 1)]
    return _with_ticks(axis, [(value, bytes_tick(value) if value else "0") for value in values])


def _log_axis(least: float, most: float, text: Callable[[float], str], low: float = 0) -> _Axis:
    """Whole powers of ten around the values, with a tick at seven of them at most."""
    first, last = math.floor(math.log10(least) - 0.05), math.ceil(math.log10(most) + 0.05)
    axis = _Axis(10.0**first, 10.0**last, low, log=True)
    every = max(1, -(-(last - first) // 7))
    return _with_ticks(axis, [(10.0**power, text(10.0**power)) for power in range(first, last + 1, every)])


def _with_ticks(axis: _Axis, values: Sequence[tuple[float, str]]) -> _Axis:
    ticks = tuple(Tick(axis.place(value), text) for value, text in values)
    return _Axis(axis.least, axis.most, axis.low, axis.log, ticks)


def _power(value: float) -> str:
    return "10" + raised(round(math.log10(value)))


def _front(marks: Sequence[Mark]) -> tuple[tuple[float, float], ...]:
    """Return the corners of the staircase below which no candidate that may ship lies."""
    shippable = [
        m for m in marks if isinstance(m.what, Candidate) and m.what.state in {"original", "accepted", "chosen"}
    ]
    corners: list[tuple[float, float]] = []
    lowest = math.inf
    for mark in sorted(shippable, key=lambda mark: (mark.at, mark.up)):
        if mark.up < lowest:
            if corners:
                corners.append((mark.at, lowest))
            lowest = mark.up
            corners.append((mark.at, lowest))
    return tuple(corners)


@dataclass(frozen=True)
class Bar:
    """A stretch of time, in percent of the chart, and its milliseconds."""

    left: float
    width: float
    ms: float


@dataclass(frozen=True)
class Step:
    """A step of a cold start; ``original`` is the same step with the original model, None where it is not known."""

    name: str
    now: Bar | None
    original: Bar | None


def draw_waterfall(cold: ColdStart) -> tuple[list[Step], list[Tick], float, float | None]:
    """Return the steps one after another, the grid, and the whole time now and with the original."""
    total = sum(cold.steps.values())
    before = None if cold.original is None else sum(cold.original.values())
    longest = max(total, before or 0.0, 1e-9)
    now, then = _bars(cold.steps, longest), _bars(cold.original or {}, longest)
    names = [*cold.steps, *(name for name in cold.original or {} if name not in cold.steps)]
    steps = [Step(name.removesuffix("_ms").replace("_", " "), now.get(name), then.get(name)) for name in names]
    unit = 10 ** math.floor(math.log10(longest))
    unit = next(each for each in (unit / 5, unit / 2, unit, 2 * unit) if longest / each <= 6)
    ticks = [Tick(100 * n * unit / longest, plain(n * unit)) for n in range(int(longest / unit) + 1)]
    return steps, ticks, total, before


def _bars(steps: Mapping[str, float], longest: float) -> dict[str, Bar]:
    bars, at = {}, 0.0
    for name, ms in steps.items():
        bars[name] = Bar(100 * at / longest, 100 * max(0.0, ms) / longest, ms)
        at += max(0.0, ms)
    return bars
