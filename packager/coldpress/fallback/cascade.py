"""The cascade: from which confidence on a small model's answer stands, fitted on the user's samples.

Both models have answered every sample. A row of which the small model is less sure than the threshold gets the large
model's answer, and the metric judges the mixture against the large model's answers alone, with the gate's own bounds.
Choosing the best of many thresholds by their bounds would sell luck as truth. So the thresholds are tried in a fixed
order, from the most rows escalated to the fewest, and the first that does not pass ends the walk: whatever the number
of thresholds, the one that is chosen is within the allowed drop with 95 % confidence (fixed-sequence testing; Maurer,
Hothorn and Lehmacher 1995).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from coldpress.errors import SamplesError
from coldpress.gate.checks import check_quality
from coldpress.gate.decisions import decision_rules
from coldpress.gate.metrics import Metric
from coldpress.gate.values import Answer, Array, rows
from coldpress.gate.verdict import Outcome

__all__ = ["Cascade", "Point", "fit_threshold", "probabilities_of"]

_FINEST = 1_000_000
_LINES = 5  # of the curve on a terminal, beside the chosen one
_WITHIN, _BEYOND = 20, 10
"""How many shares are tried up to the most that may be escalated, and how many beyond it, to tell what it would take"""


@dataclass(frozen=True)
class Point:
    """One threshold and what came of it.

    Attributes:
        threshold: Rows of which the small model is less sure are escalated; 0 to 1.
        escalated: The share of rows that are.
        metric: Of the mixed answers.
        drop: By how much that is worse than the large model's.
        drop_bound: The one-sided 95 % upper bound of it, None where there is none.
        verdict: The gate's.
    """

    threshold: float
    escalated: float
    metric: float
    drop: float
    drop_bound: float | None
    verdict: Outcome
    note: str = ""
    samples_needed: int | None = None


@dataclass(frozen=True)
class Cascade:
    """Two models, one behind the other.

    Attributes:
        verdict: ``pass`` with a threshold; ``fail`` where no share within the bounds does; ``inconclusive`` where the
            samples are too few to tell.
        note: That in a sentence, with how many samples would do.
        metric: The metric's name; ``direction`` whether more of it is better.
        output: The output that holds the probabilities of the classes.
        samples: Rows.
        small: The metric of the small model alone.
        large: Of the large one alone.
        max_drop: What the bound may be.
        max_escalated: The share of rows that may be escalated.
        points: The curve, by rising share.
        chosen: The one of these with the fewest rows escalated, None where there is none.
        samples_needed: About how many would settle an inconclusive verdict, None where none would.
    """

    verdict: Outcome
    note: str
    metric: str
    direction: str
    output: str
    samples: int
    small: float
    large: float
    max_drop: float
    max_escalated: float
    points: tuple[Point, ...]
    chosen: Point | None
    samples_needed: int | None

    @property
    def rule(self) -> str | None:
        """The rule for the manifest; None where the small model needs no second opinion, or none helps."""
        if self.chosen is None or not self.chosen.escalated:
            return None
        return f"confidence < {self.chosen.threshold:.6f}".rstrip("0").rstrip(".")

    def table(self) -> Iterator[str]:
        """Yield the curve as lines for a terminal: some points up to the most that may go out."""
        within = [point for point in self.points if point.escalated <= self.max_escalated]
        shown = {id(point) for point in (*within[:: _WITHIN // _LINES], within[-1], self.chosen)}
        width = max(6, len(self.metric))
        yield f"confidence below   rows that go out   {self.metric:>{width}}   drop at most, 95 %"
        for point in within:
            if id(point) in shown:
                bound = "-" if point.drop_bound is None else f"{max(0.0, point.drop_bound):.4f}"
                mark = "  <- ships" if point is self.chosen else ""
                yield (
                    f"{point.threshold:16.6g}   {point.escalated:16.1%}   {point.metric:{width}.4f}   {bound:>18}{mark}"
                )

    def to_json(self) -> dict[str, Any]:
        """Return the object that reports hold."""
        return {**asdict(self), "rule": self.rule}


def fit_threshold(
    small: Sequence[Answer],
    large: Sequence[Answer],
    labels: Any,
    metric: Metric,
    *,
    max_drop: float = 0.01,
    max_escalated: float = 0.2,
    output: str | None = None,
) -> Cascade:
    """Find the smallest share of rows whose escalation keeps the metric within ``max_drop`` of the large model's.

    Args:
        small: The small model's answers, one mapping of outputs a request.
        large: The large model's answers to the same requests.
        labels: The truth, one entry a request, or None for a metric that needs none.
        metric: How right answers are; one without labels holds them against the large model's.
        max_drop: What the 95 % upper bound of the drop may be, in the metric's unit of drop.
        max_escalated: The largest share of rows that may be escalated, 0 to 1.
        output: The small model's output that holds the probabilities of the classes [rows, classes]; None: the only
            one that does.

    Raises:
        SamplesError: There are no samples, no output holds probabilities, or the two models answer unlike each other.
    """
    pairs = _Pairs.of(small, large, probabilities_of(small, output))

    def try_threshold(threshold: float) -> Point:
        mixed = pairs.mixed(threshold)
        weighed = metric.weigh(pairs.large, mixed, labels)
        check, needed = check_quality(metric.name, weighed, max_drop, weighed.problem)
        upper = weighed.evidence.bounds()[1]
        return Point(
            threshold,
            pairs.share(threshold),
            weighed.shrunk,
            weighed.evidence.drop,
            float(upper) if np.isfinite(upper) else None,
            check.verdict,
            check.note,
            needed,
        )

    points = [try_threshold(threshold) for threshold in pairs.thresholds(max_escalated)]
    within = [point for point in reversed(points) if point.escalated <= max_escalated]
    passed = list(takewhile(lambda point: point.verdict == "pass", within))
    chosen = passed[-1] if passed else None
    first = within[0]  # to escalate nothing is always one of them
    reach = list(takewhile(lambda point: point.verdict == "pass", reversed(points)))
    verdict, note = first.verdict, _told(chosen, first, reach, max_escalated)
    return Cascade(
        verdict=verdict,
        note=note,
        metric=metric.name,
        direction=metric.direction,
        output=pairs.output,
        samples=pairs.count,
        small=points[0].metric,
        large=metric.weigh(pairs.large, pairs.large, labels).original,
        max_drop=max_drop,
        max_escalated=max_escalated,
        points=tuple(points),
        chosen=chosen,
        samples_needed=None if chosen else first.samples_needed,
    )


def _told(chosen: Point | None, first: Point, reach: Sequence[Point], max_escalated: float) -> str:
    if chosen is not None and not chosen.escalated:
        return f"The small model needs no second opinion: alone, {chosen.note}"
    if chosen is not None:
        return f"With {chosen.escalated:.1%} of rows escalated, those below {chosen.threshold:g}, {chosen.note}"
    note = f"With {first.escalated:.1%} of rows escalated, {first.note}"
    if first.verdict == "inconclusive" and first.samples_needed:
        return note
    if not reach:
        return f"{note} No share would do: where the small model is sure, it is not more often right."
    return f"{note} It would take {reach[-1].escalated:.1%} of rows escalated, and {max_escalated:.1%} are allowed."


def probabilities_of(answers: Sequence[Answer], output: str | None = None) -> str:
    """Return the name of the output that holds the probabilities of classes: rows that add up to 1, or one of yes.

    Raises:
        SamplesError: There is none, there are several and none is named, or the named one holds none.
    """
    found = [
        name
        for name, rule in decision_rules(answers).items()
        if all(_is_table(answer.get(name), rule) for answer in answers)
    ]
    if output is None and len(found) == 1:
        return found[0]
    if output is not None and output in found:
        return output
    what = f"the output {output!r} holds none" if output is not None else "no output holds any"
    if output is None and found:
        raise SamplesError(
            f"Several outputs hold probabilities of classes ({', '.join(map(repr, found))}): say in `fallback.output` "
            "by which one the model is sure of its answer."
        )
    raise SamplesError(
        f"A rule by confidence needs probabilities of classes, [rows, classes], that add up to 1, and {what}"
        f"{' (those that do: ' + ', '.join(map(repr, found)) + ')' if found else ''}: "
        "end the model with a Softmax, or leave the rule out."
    )


def _is_table(value: Any, rule: str) -> bool:
    """Tell whether a value has a probability for each row and class, or one column of how likely a yes is."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.ndim != 2:
        return False
    return rule == "argmax" or (rule == "threshold" and value.shape[1] == 1)


def _confidences(table: Array) -> Array:
    """Return how sure each row is, float64 [rows], as ``coldpress_runtime.fallback.doubt`` does."""
    sure = np.maximum(table, 1 - table) if table.shape[1] == 1 else table
    return np.asarray(sure.max(axis=-1), np.float64)


@dataclass(frozen=True)
class _Pairs:
    """Both models' answers, and how sure the small one is: of each row where rows can be exchanged, else of a request.

    ``confidences`` is a float64 [rows] a request, or [1] for one that goes out as a whole.
    """

    small: Sequence[Answer]
    large: Sequence[Answer]
    confidences: tuple[Array, ...]
    output: str

    @classmethod
    def of(cls, small: Sequence[Answer], large: Sequence[Answer], output: str) -> "_Pairs":
        if len(small) != len(large) or not small:
            raise SamplesError(
                f"The small model gave {len(small)} answers and the large one {len(large)}: expected one to each "
                "sample, and at least one; give samples that both answer."
            )
        if (names := set(small[0])) != set(large[0]):
            raise SamplesError(
                f"The small model's outputs are {', '.join(sorted(names))} and the large one's "
                f"{', '.join(sorted(large[0]))}: a caller must not see who answered; export both with the same names."
            )
        sure = []
        for one, other in zip(small, large, strict=True):
            each = _confidences(one[output])
            sure.append(each if _by_row(one, len(each)) and _by_row(other, len(each)) else each.min(keepdims=True))
        return cls(small, large, tuple(sure), output)

    @property
    def count(self) -> int:
        return sum(map(len, self.confidences))

    def share(self, threshold: float) -> float:
        return sum(int((each < threshold).sum()) for each in self.confidences) / self.count

    def thresholds(self, max_escalated: float) -> list[float]:
        """Return thresholds that escalate evenly spaced shares, as exact as a rule's text is; by rising share."""
        ordered = np.sort(np.concatenate(self.confidences))
        shares = {max_escalated * step / _WITHIN for step in range(_WITHIN + 1)}
        shares |= {max_escalated + (1 - max_escalated) * step / _BEYOND for step in range(_BEYOND)}
        exact = {0.0, *(float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) for share in shares)}
        by_share: dict[float, float] = {}
        for each in sorted(exact):
            rounded = math.floor(min(1.0, each) * _FINEST) / _FINEST  # down: rows that tie stay together
            by_share.setdefault(self.share(rounded), rounded)
        return list(by_share.values())

    def mixed(self, threshold: float) -> list[Answer]:
        return [
            _mixed(one, other, sure < threshold)
            for one, other, sure in zip(self.small, self.large, self.confidences, strict=True)
        ]


def _by_row(answer: Answer, count: int) -> bool:
    """Tell whether every output has a row for each row of the request."""
    return all(
        len(value) == count if isinstance(value, list) else isinstance(value, np.ndarray) and rows(value) == count
        for value in answer.values()
    )


def _mixed(small: Answer, large: Answer, doubtful: Array) -> Answer:
    if doubtful.all():
        return large
    if not doubtful.any():
        return small
    return {name: _rows_mixed(value, large[name], doubtful) for name, value in small.items()}


def _rows_mixed(small: Any, large: Any, doubtful: Array) -> Any:
    if isinstance(small, list):
        return [theirs if doubt else ours for ours, theirs, doubt in zip(small, large, doubtful, strict=True)]
    mixed = np.array(small)
    mixed[doubtful] = large[doubtful]
    return mixed
