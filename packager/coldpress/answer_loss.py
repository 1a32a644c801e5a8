"""How far a model's answers have moved, in one number that can be compared between candidates.

An output may hold things of different kinds side by side: a detector's boxes in pixels and its scores from 0 to 1. Over
the whole of it a cosine sees the boxes alone, so such an output is cut along the axis that tells the kinds apart, and
each slice is measured against its own spread.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Loss", "OutputLoss"]

_UNLIKE = 10.0
"""Slices of an axis are of different kinds when the widest ranges over this many times as much as the middle one."""
_NEGLIGIBLE = 1e-4
"""Slices that range over less than this part of the widest one of all outputs say nothing."""
_MOST_SLICES = 512
"""An axis with more entries counts places, not kinds."""


@dataclass(frozen=True, order=True)
class Loss:
    """How far answers are from the expected ones.

    Attributes:
        mean: Mean over outputs, and over their slices, of the squared error over twice the squared spread, which for
            small errors is 1 - cosine, but sees a wrong scale too. Infinite for an answer that is not finite.
        worst: Largest error as a part of the range of its slice.
    """

    mean: float
    worst: float


@dataclass(frozen=True)
class _Slice:
    """Part ``index`` along ``axis`` of the output ``name``; all of it where ``axis`` is None."""

    name: str
    axis: int | None
    index: int

    def of(self, answer: Mapping[str, np.ndarray]) -> np.ndarray:
        array = answer[self.name]
        return (array if self.axis is None else np.take(array, self.index, self.axis)).reshape(-1)


class OutputLoss:
    """Measures answers against those of the original, which it is made with: one mapping of arrays a request.

    What is not finite in the original's answers is left out, and so are outputs in ``drawn``, which depend on chance.
    """

    def __init__(self, expected: Sequence[Mapping[str, Any]], drawn: Collection[str] = ()) -> None:
        expected = [{k: v for k, v in _arrays(answer).items() if k not in drawn} for answer in expected]
        self._expected = expected
        self._exact = [name for name, value in expected[0].items() if value.dtype.kind != "f"]
        slices = [
            part
            for name, value in expected[0].items()
            if value.dtype.kind == "f"
            for part in _slices(name, [answer[name] for answer in expected])
        ]
        whole = {part: np.concatenate([part.of(answer) for answer in expected]).astype(np.float64) for part in slices}
        self._finite = {part: np.isfinite(array) for part, array in whole.items()}
        values = {part: array[self._finite[part]] for part, array in whole.items()}
        spans = {part: float(np.ptp(array)) if array.size else 0.0 for part, array in values.items()}
        widest = max(spans.values(), default=0.0)
        self._parts = {
            part: (array, spans[part], float(((array - array.mean()) ** 2).sum()))
            for part, array in values.items()
            if spans[part] > widest * _NEGLIGIBLE
        }

    def of(self, answers: Sequence[Mapping[str, Any]]) -> Loss:
        """Return the loss of ``answers``, one for each of the expected ones, in their order."""
        answers = [_arrays(answer) for answer in answers]
        by_output: dict[str, list[float]] = {}
        worst = 0.0
        for part, (expected, span, spread) in self._parts.items():
            if any(part.name not in answer for answer in answers):
                return Loss(np.inf, np.inf)
            found = np.concatenate([part.of(answer) for answer in answers])
            if found.shape != self._finite[part].shape or not np.isfinite(found[self._finite[part]]).all():
                return Loss(np.inf, np.inf)
            found = found[self._finite[part]]
            error = np.abs(found - expected)
            by_output.setdefault(part.name, []).append(float((error**2).sum()) / (2 * spread))
            worst = max(worst, float(error.max()) / span)
        for name in self._exact:
            pairs = [(a[name], b[name]) for a, b in zip(self._expected, answers, strict=True)]
            differ = float(np.mean([1.0 if a.shape != b.shape else np.mean(a != b) for a, b in pairs]))
            by_output[name] = [differ]
            worst = max(worst, differ)
        means = [float(np.mean(losses)) for losses in by_output.values()]
        return Loss(float(np.mean(means)) if means else 0.0, worst)


def _arrays(answer: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return every output as one array; a sequence or map is laid out flat, in its order."""
    return {name: _array(value) for name, value in answer.items()}


def _array(value: Any) -> np.ndarray:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        parts = [_array(item).reshape(-1) for item in value]
        return np.concatenate(parts) if parts else np.empty(0)
    return np.asarray(value)


def _slices(name: str, arrays: Sequence[np.ndarray]) -> list[_Slice]:
    """Cut an output along the axis whose entries are most unlike in range, if they are unlike at all."""
    best, most = None, _UNLIKE
    ranks = {array.ndim for array in arrays}
    for axis in range(1, arrays[0].ndim if len(ranks) == 1 else 0):
        lengths = {array.shape[axis] for array in arrays}
        if len(lengths) > 1 or not 1 < arrays[0].shape[axis] <= _MOST_SLICES:
            continue
        rows = np.concatenate([np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1) for array in arrays], axis=1)
        spans = np.ptp(rows, axis=1) if rows.shape[1] else np.zeros(len(rows))
        middle = float(np.median(spans))
        unlike = float(spans.max()) / middle if middle else (np.inf if spans.any() else 0.0)
        if unlike > most:
            best, most = axis, unlike
    if best is None:
        return [_Slice(name, None, 0)]
    return [_Slice(name, best, index) for index in range(arrays[0].shape[best])]
