"""A candidate's answers beside the original's: what is the same, and how far the rest is off."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coldpress.gate.decisions import Rule, unchanged
from coldpress.gate.values import Answer, Answers, Scores, cosine, floats_of
from coldpress.reference import compare, compare_kind

__all__ = ["Comparison", "compare_answers"]


@dataclass(frozen=True)
class Comparison:
    """All answers of two models.

    Attributes:
        identical: Whether every value is the same bit for bit.
        kind: What differs in kind, element type or rank, a sentence's end; empty when nothing does.
        sizes: Requests whose answers have other sizes.
        odd: Requests with NaN or infinity where the original's answers are finite.
        max_rel: See ``coldpress.reference.Difference``; over answers of the same sizes.
        cosines: By request, float64 [n]; None when no output holds floats.
        unchanged: By row, the share of decisions that stay, float64 [rows]; None when no output is a decision.
    """

    identical: bool
    kind: str
    sizes: int
    odd: int
    max_rel: float
    cosines: Scores | None
    unchanged: Scores | None


def compare_answers(
    before: Answers,
    after: Answers,
    *,
    drawn: Collection[str],
    states: Collection[str],
    rules: Mapping[str, Rule],
    largest: Mapping[str, float],
) -> Comparison:
    """Compare answers request by request.

    Args:
        before: The original's.
        after: The candidate's, to the same requests.
        drawn: Outputs that depend on chance: compared in kind alone.
        states: Outputs that are handed on: neither decisions nor counted in the cosine, because what comes of them
            shows in the answers that follow.
        rules: The decisions.
        largest: See ``coldpress.gate.values.cosine``.
    """
    identical, kind, sizes, odd, max_rel = True, "", 0, 0, 0.0
    cosines, shares = [], []
    for old, new in zip(before, after, strict=True):
        if set(old) != set(new):
            return Comparison(False, f"outputs are {sorted(new)} instead of {sorted(old)}", 0, 0, 0.0, None, None)
        kind = kind or next((found for name in old if (found := _kind(old[name], new[name], name))), "")
        compared = {name: value for name, value in old.items() if name not in drawn}
        differences = [compare(value, new[name], name) for name, value in compared.items()]
        identical = identical and all(difference.equal for difference in differences)
        max_rel = max([max_rel, *(difference.max_rel for difference in differences)])
        sizes += any(_sizes(value) != _sizes(new[name]) for name, value in compared.items())
        odd += _odd(compared, {name: new[name] for name in compared})
        seen = {name: value for name, value in compared.items() if name not in states}
        if floats_of(seen):
            cosines.append(cosine(seen, new, largest))
        if rules:
            shares.append(unchanged(seen, new, rules))
    return Comparison(
        identical,
        kind,
        sizes,
        odd,
        max_rel,
        np.array(cosines) if cosines else None,
        np.concatenate(shares) if shares else None,
    )


def _kind(old: Any, new: Any, name: str) -> str:
    return compare_kind(old, new, name).structure


def _sizes(value: Any) -> Any:
    """Return what must be equal for values to be comparable one by one."""
    if isinstance(value, dict):
        return tuple(value)
    if isinstance(value, list):
        return tuple(_sizes(item) for item in value)
    return getattr(value, "shape", None)


def _odd(old: Answer, new: Answer) -> bool:
    others = floats_of(new)
    for name, array in floats_of(old).items():
        other = others.get(name)
        if other is None:
            continue
        finite = np.isfinite(array)
        if other.shape != array.shape:
            if finite.all() and not np.isfinite(other).all():
                return True
        elif not np.isfinite(other[finite]).all():
            return True
    return False
