"""Whether two models said the same, for shadow traffic: their answers are compared, and only the result is kept."""

from __future__ import annotations

from math import isclose

from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["differ"]

_RELATIVE, _ABSOLUTE = 1e-2, 1e-3  # beyond what another precision, or another order of sums, makes of a number


def differ(own: Mapping[str, Any], theirs: Mapping[str, Any], probabilities: str) -> bool:
    """Whether any row's likeliest class is another; without an output of ``probabilities``, whether any number is."""
    mine, other = own.get(probabilities), theirs.get(probabilities)
    if isinstance(mine, Tensor) and isinstance(other, Tensor):
        return mine.shape != other.shape or _decisions(mine) != _decisions(other)
    return own.keys() != theirs.keys() or not all(_alike(own[name], theirs[name]) for name in own)


def _decisions(table: Tensor) -> list[int]:
    count, width = table.shape
    numbers = table.flat()
    if width == 1:
        return [number > 1 / 2 for number in numbers]
    rows = [numbers[row * width : (row + 1) * width] for row in range(count)]
    return [max(range(width), key=row.__getitem__) for row in rows if row]


def _alike(mine: Any, other: Any) -> bool:
    if isinstance(mine, Tensor):
        sound = isinstance(other, Tensor) and mine.dtype is other.dtype and mine.shape == other.shape
        return sound and all(map(_alike, mine.flat(), other.flat()))
    if type(mine) is not type(other):
        return False
    if isinstance(mine, list):
        return len(mine) == len(other) and all(map(_alike, mine, other))
    if isinstance(mine, dict):
        return mine.keys() == other.keys() and all(_alike(mine[key], other[key]) for key in mine)
    if isinstance(mine, float):
        both_nan = mine != mine and other != other  # noqa: PLR0124 - NaN
        return both_nan or isclose(mine, other, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return bool(mine == other)
