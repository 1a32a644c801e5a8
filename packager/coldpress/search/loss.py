"""How far answers are from the original's: one number that steers the search, and decides nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["answer_loss"]

_FLOATS = "f"


def answer_loss(
    before: Sequence[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], drawn: Collection[str] = frozenset()
) -> float:
    """Return the largest, over outputs, of the squared error summed over all requests, relative to the squared answers.

    About twice 1 - cosine where answers keep their length. Summing before dividing keeps a request whose answer is
    nearly nothing from deciding. Infinite where an answer has another shape, or is not finite where the original was;
    outputs in ``drawn`` and outputs that are no floats are left out.
    """
    errors: dict[str, float] = {}
    sizes: dict[str, float] = {}
    for old, new in zip(before, after, strict=True):
        for name, value in old.items():
            if name in drawn or not isinstance(value, np.ndarray) or value.dtype.kind not in _FLOATS:
                continue
            other = new.get(name)
            if not isinstance(other, np.ndarray) or other.shape != value.shape:
                return float("inf")
            wide = value.astype(np.float64).ravel()
            finite = np.isfinite(wide)
            gap = other.astype(np.float64).ravel()[finite] - wide[finite]
            errors[name] = errors.get(name, 0.0) + float(gap @ gap)
            sizes[name] = sizes.get(name, 0.0) + float(wide[finite] @ wide[finite])
    worst = max((error / sizes[name] if sizes[name] else error for name, error in errors.items()), default=0.0)
    return worst if np.isfinite(worst) else float("inf")
