"""Which of the candidates that passed to ship."""

from collections.abc import Sequence

from coldpress.search.candidate import Candidate

__all__ = ["best", "nearest"]

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
    exact = [candidate for candidate in passed if not candidate.loss]
    least = min(map(size, exact), default=None)
    if least is not None:
        passed = [c for c in passed if not c.loss or size(c) <= least * (1 - LEAST_GAIN)]
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


def _warm_ms(candidate: Candidate) -> float:
    figures = candidate.verdict.figures if candidate.verdict else None
    return float("inf") if figures is None or figures.warm_ms is None else figures.warm_ms


def _peak_mb(candidate: Candidate) -> float:
    figures = candidate.verdict.figures if candidate.verdict else None
    return float("inf") if figures is None or figures.peak_mb is None else figures.peak_mb
