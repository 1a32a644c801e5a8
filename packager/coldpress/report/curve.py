"""The chart of a cascade as geometry: the share of rows escalated against the metric of the mixed answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from coldpress.report.charts import Tick
from coldpress.report.fallback import Cascade, Threshold
from coldpress.report.words import plain

__all__ = ["Curve", "draw_curve"]

_LOW, _HIGH = 8.0, 90.0  # percent of the chart's height between which all marks lie


@dataclass(frozen=True)
class Curve:
    """The chart of the share escalated against the metric: places in percent from the left and from the bottom."""

    marks: tuple[tuple[float, float, Threshold], ...]
    line: tuple[tuple[float, float], ...]
    large: float
    floor: float | None
    budget: float
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]


def draw_curve(cascade: Cascade) -> Curve:
    """Place every threshold that was tried; the line ends where everything is escalated, at the large model's."""
    values = [each.metric for each in cascade.thresholds]
    values += [cascade.large, *([] if cascade.floor is None else [cascade.floor])]
    least, most = min(values), max(values)
    most = most if most > least else least + 1e-6

    def up(value: float) -> float:
        return _LOW + (_HIGH - _LOW) * (value - least) / (most - least)

    marks = tuple((100 * each.escalated, up(each.metric), each) for each in cascade.thresholds)
    return Curve(
        marks=marks,
        line=(*((at, high) for at, high, _ in marks), (100.0, up(cascade.large))),
        large=up(cascade.large),
        floor=None if cascade.floor is None else up(cascade.floor),
        budget=100 * cascade.max_escalated,
        across=tuple(Tick(percent, f"{percent} %") for percent in range(0, 101, 20)),
        up=tuple(Tick(up(value), plain(value)) for value in _round_values(least, most)),
    )


def _round_values(least: float, most: float) -> Sequence[float]:
    step = 10 ** math.floor(math.log10(most - least))
    step = next(each for each in (step / 5, step / 2, step, 2 * step) if (most - least) / each <= 6)
    first = math.ceil(least / step - 1e-9)
    return [round(n * step, 12) for n in range(first, math.floor(most / step + 1e-9) + 1)]
