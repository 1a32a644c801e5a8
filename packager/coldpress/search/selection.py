"""Which of the candidates that passed to ship, and what is said where none did."""

from collections.abc import Sequence
from typing import NoReturn

from coldpress.errors import ShrinkError
from coldpress.search.candidate import Candidate

__all__ = ["best", "nearest", "refuse"]

NEAR = 1.15
"""Models within this factor of the smallest are as small: the faster one wins, then the one with less memory."""
AS_FAST = 1.10
"""Times within this factor are the same: less is noise."""
LEAST_GAIN = 0.02
"""A model that saves less than this share of the bytes is not worth a single changed answer."""


def best(
    candidates: Sequence[Candidate], max_bytes: int | None = None, beside: int = 0, *, zipped: bool = False
) -> Candidate | None:
    """Return the candidate to ship, None when none passed.

    Without a budget it is the smallest; of those about as small, the fastest; of those about as fast, the one with
    least memory. Sizes are compared with ``beside`` added, the bytes that ship with any model: next to a runtime of
    30 MB, models of 2 and of 3 MB are as small. Under a budget, anything that fits is small enough, and the one whose
    answers are nearest the original's wins. What rounds must save bytes beyond what the lossless passes did.

    With ``zipped`` it is the zipped models that are compared, for their own sake: ``beside`` is no matter then.
    ``max_bytes`` is of the file all the same.
    """

    def size(candidate: Candidate) -> int:
        packed = candidate.verdict.zip_bytes if zipped and candidate.verdict else None
        return candidate.bytes if packed is None else packed

    beside = 0 if zipped else beside
    passed = [candidate for candidate in candidates if candidate.passed]
    exact = [candidate for candidate in passed if _exact(candidate)]
    least = min(map(size, exact), default=None)
    if least is not None:
        passed = [c for c in passed if _exact(c) or size(c) <= least * (1 - LEAST_GAIN)]
    if max_bytes is not None:
        within = [candidate for candidate in passed if candidate.bytes <= max_bytes]
        return min(within, key=lambda c: (c.loss or 0.0, size(c)), default=None)
    if not passed:
        return None
    smallest = min(map(size, passed)) + beside
    small = [candidate for candidate in passed if size(candidate) + beside <= smallest * NEAR]
    fastest = min(_warm_ms(candidate) for candidate in small)
    fast = [candidate for candidate in small if _warm_ms(candidate) <= fastest * AS_FAST]
    lightest = min(_peak_mb(candidate) for candidate in fast)
    light = [candidate for candidate in fast if _peak_mb(candidate) <= lightest * AS_FAST]
    return min(light, key=lambda c: (size(c), c.loss or 0.0))


def nearest(candidates: Sequence[Candidate], max_bytes: int) -> Candidate | None:
    """Return, when nothing passes within ``max_bytes``, the smallest candidate that is right but too large."""
    right = [
        candidate
        for candidate in candidates
        if candidate.verdict is not None
        and candidate.bytes > max_bytes
        and all(check.verdict == "pass" for check in candidate.verdict.checks if check.name != "bytes")
    ]
    return min(right, key=lambda candidate: candidate.bytes, default=None)


def refuse(candidates: Sequence[Candidate], max_bytes: int | None, early: str = "") -> NoReturn:
    """Say what comes nearest, when nothing is both right and within the limits; ``early`` is why the search ended.

    Raises:
        ShrinkError: Always.
    """
    if max_bytes is None:
        last = candidates[-1]
        raise ShrinkError(
            f"No model is within all limits; {last.name} was tried last, and refused: {last.why_not} {early}".rstrip()
        )
    if (close := nearest(candidates, max_bytes)) is not None:
        advice = (
            f"the nearest tried that is right is {close.name} with {close.bytes:,} bytes: allow that, or a larger drop."
        )
    else:
        smallest = min(candidates, key=lambda candidate: candidate.bytes)
        why_not = f": {smallest.why_not}" if smallest.why_not else "; --samples lets more be tried."
        advice = f"the smallest tried is {smallest.name} with {smallest.bytes:,} bytes{why_not}"
    raise ShrinkError(f"No model of at most {max_bytes:,} bytes is still right; {advice} {early}".rstrip())


def _exact(candidate: Candidate) -> bool:
    """Tell whether nothing was rounded; sums added up in another order may show as a loss in calibration alone."""
    return not candidate.loss or (candidate.verdict is not None and candidate.verdict.identical)


def _warm_ms(candidate: Candidate) -> float:
    figures = candidate.verdict.figures if candidate.verdict else None
    return float("inf") if figures is None or figures.warm_ms is None else figures.warm_ms


def _peak_mb(candidate: Candidate) -> float:
    figures = candidate.verdict.figures if candidate.verdict else None
    return float("inf") if figures is None or figures.peak_mb is None else figures.peak_mb
