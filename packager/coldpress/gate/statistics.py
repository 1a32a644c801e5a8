"""How far the drop of a metric may reach beyond what the samples show, and how many samples would tell.

Every bound is one-sided at 95 %: of a hundred candidates whose true drop is at the limit, five pass at most. The same
samples go through both models, so that only the differences between the two count; a difference that few samples show
needs fewer samples than two separate measurements would.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "Evidence", "Means", "Proportions", "evidence", "resample", "samples_needed"]

Scores = npt.NDArray[np.float64]
LEVEL = 0.95
"""Confidence of each one-sided bound."""
_Z = NormalDist().inv_cdf(LEVEL)
_MOST = 10_000_000
_SEED = 20_240_229
_ROUNDING = 1e-12
"""Deviations below this share of the mean are the rounding of equal numbers, and their skewness is noise."""


class Evidence(Protocol):
    """What the samples say of a drop."""

    @property
    def n(self) -> int:
        """How many samples there are."""
        ...

    @property
    def drop(self) -> float:
        """By how much the candidate is worse on them."""
        ...

    @property
    def changed(self) -> bool:
        """Whether any sample tells the two models apart."""
        ...

    def bounds(self, n: int | None = None) -> tuple[float, float]:
        """Return the lower and the upper bound; as they would be with ``n`` samples that are like these."""
        ...


@dataclass(frozen=True)
class Proportions:
    """Scores of 0 and 1: the score interval for a difference between paired proportions.

    Tango, T.: Equivalence test and confidence interval for the difference in proportions for the paired-sample design.
    Statistics in Medicine 17 (1998) 891-908. Unlike Wald's it holds for few differing samples; for none its bound is
    z^2 / (n + z^2).

    Attributes:
        n: Samples.
        lost: Samples that the original alone has right.
        won: Samples that the candidate alone has right.
    """

    n: int
    lost: float
    won: float

    @property
    def drop(self) -> float:
        """The difference between the two proportions."""
        return (self.lost - self.won) / self.n

    @property
    def changed(self) -> bool:
        """Whether the two models differ on any sample."""
        return self.lost + self.won > 0

    def bounds(self, n: int | None = None) -> tuple[float, float]:
        """Return the lower and the upper bound, as if there were ``n`` samples at the same rates."""
        n = n or self.n
        lost, won = self.lost * n / self.n, self.won * n / self.n
        return -_tango(won, lost, n), _tango(lost, won, n)


@dataclass(frozen=True)
class Means:
    """Scores of any size: Student's interval for the mean of the paired differences, widened where they are skewed.

    Johnson, N. J.: Modified t tests and confidence intervals for asymmetrical populations. JASA 73 (1978) 536-544. Few
    samples with large losses among many with none are what a ruined model looks like, and where Student's own upper
    bound is too low.

    Attributes:
        n: Samples.
        drop: Mean of the differences.
        deviation: Their standard deviation, with n - 1.
        skew: Their skewness.
        unit: How large a difference can be: what an unseen one is taken to be where no sample shows any.
    """

    n: int
    drop: float
    deviation: float
    skew: float
    unit: float

    @property
    def changed(self) -> bool:
        """Whether the two models differ on any sample."""
        return self.drop != 0 or self.deviation > 0

    def bounds(self, n: int | None = None) -> tuple[float, float]:
        """Return the lower and the upper bound, as if there were ``n`` samples like these."""
        n = n or self.n
        if n < 2:
            return -math.inf, math.inf
        if not self.changed:
            return _nothing_seen(n, self.unit)
        t = _student(n - 1)
        wide, lean = t / math.sqrt(n), (2 * t * t + 1) / (6 * n)
        return (
            self.drop - self.deviation * (wide - min(self.skew, 0.0) * lean),
            self.drop + self.deviation * (wide + max(self.skew, 0.0) * lean),
        )


def evidence(before: Scores, after: Scores, *, unit: float, scale: float = 1.0) -> Evidence:
    """Weigh the scores of the original against the candidate's, sample by sample.

    Args:
        before: float64 [n], at least one; higher is better.
        after: Likewise, of the same samples.
        unit: See ``Means``; in the unit of scores.
        scale: What a difference of scores is multiplied with to make a drop.
    """
    if scale == 1.0 and _binary(before) and _binary(after):
        return Proportions(len(before), float(np.sum(before > after)), float(np.sum(before < after)))
    lost = (before - after) * scale
    mean, deviation = float(lost.mean()), float(lost.std(ddof=1)) if len(lost) > 1 else 0.0
    if deviation <= _ROUNDING * abs(mean):
        return Means(len(lost), mean, 0.0, 0.0, unit * scale)
    return Means(len(lost), mean, deviation, _skewness(lost), unit * scale)


def resample(drop: Callable[[Any], float], n: int, *, rounds: int, unit: float) -> Means:
    """Draw the samples again, with replacement, the same way each time, for a metric that is no mean, such as F1.

    Deviation and skewness of the drop over the drawings (the paired bootstrap) take the place of those of a mean. The
    percentiles of the drawings themselves, the commoner interval, were measured to hold at 0.87 to 0.90 instead of 0.95
    where few samples differ; this one at 0.92 to 0.99, as BCa does, which needs the metric once more for every sample.

    Args:
        drop: Gives the drop on samples by their indices, int64 [n]; NaN where it cannot be taken of these.
        n: Samples.
        rounds: Drawings. Half of them must have a drop; otherwise there is no bound.
        unit: See ``Means``.
    """
    found = drop(np.arange(n))
    random = np.random.default_rng(_SEED)
    drawn = np.array([drop(random.integers(0, n, n)) for _ in range(rounds if n > 1 else 0)])
    known = drawn[np.isfinite(drawn)]
    if len(known) < max(2, rounds / 2):
        return Means(n, found, math.inf, 0.0, unit)
    error = float(known.std(ddof=1))
    if error <= _ROUNDING * max(1.0, abs(found)):
        return Means(n, found, 0.0, 0.0, unit)
    return Means(n, found, error * n / math.sqrt(n - 1), _skewness(known) * math.sqrt(n), unit)


def samples_needed(found: Evidence, limit: float) -> int | None:
    """Return how many samples would settle whether the drop is within ``limit``, if they are like those seen.

    Settled is what passes, and what fails even at its lower bound. None: more than ten million, or never.
    """

    def settled(n: int) -> bool:
        lower, upper = found.bounds(n)
        return upper <= limit or lower > limit

    if found.n < 2:  # one sample says nothing of how samples differ
        return None
    few = many = found.n
    while not settled(many):
        few, many = many, many * 2
        if many > _MOST:
            return None
    while many - few > max(1, many // 1000):
        middle = (few + many) // 2
        few, many = (few, middle) if settled(middle) else (middle, many)
    return many


def _binary(scores: Scores) -> bool:
    return bool(np.all((scores == 0) | (scores == 1)))


def _skewness(values: Scores) -> float:
    return float(np.mean(((values - values.mean()) / values.std()) ** 3))


def _nothing_seen(n: int, unit: float) -> tuple[float, float]:
    """Return the bounds where no sample of ``n`` differs: the share of those that would, times what they might lose."""
    reach = unit * _Z**2 / (n + _Z**2)
    return -reach, reach


def _tango(lost: float, won: float, n: int) -> float:
    """Return the largest true drop that the score test does not reject, by bisection: its statistic falls with it."""
    low, high = -1.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _score(middle, lost, won, n) > -_Z else (low, middle)
    return high


def _score(drop: float, lost: float, won: float, n: int) -> float:
    """Return Tango's statistic for a true drop, with the likeliest share of ``won`` under it (his equation 9)."""
    b = -lost - won + (2 * n - lost + won) * drop
    c = -won * drop * (1 - drop)
    share = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    share = max(share, 0.0, -drop)
    variance = n * (2 * share + drop * (1 - drop))
    gap = lost - won - n * drop
    return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)


def _student(freedom: int) -> float:
    """Return Student's 95 % quantile: exact for 1 and 2 degrees, else Abramowitz and Stegun 26.7.5 (error < 0.1 %)."""
    if freedom == 1:
        return math.tan(math.pi * (LEVEL - 0.5))
    if freedom == 2:
        return (2 * LEVEL - 1) * math.sqrt(2 / (4 * LEVEL * (1 - LEVEL)))
    z, d = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * d)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * d**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * d**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * d**4)
    )
