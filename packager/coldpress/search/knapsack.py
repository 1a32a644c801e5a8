"""Which encoding for which weight: the multiple-choice knapsack, solved greedily along its convex hull.

Every weight has a few options, each with bytes and a predicted loss of the answers. Of one weight's options only those
on the lower convex hull can be part of a best answer to the relaxed problem; between two neighbours on the hull lies a
step that saves bytes for loss. Taking the steps of all weights in order of loss per byte gives, after each step, a
choice that no other choice of that size or smaller betters (Sinha and Zoltners, "The multiple-choice knapsack problem",
Operations Research 27, 1979).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Option", "Road", "greedy_road"]


@dataclass(frozen=True)
class Option:
    """One way to keep one weight: the encoding's name, bytes in the file, and predicted loss (0 or more)."""

    encoding: str
    nbytes: int
    loss: float


@dataclass(frozen=True)
class _Step:
    site: str
    option: Option
    saved: int
    cost: float


@dataclass(frozen=True)
class Road:
    """All choices from the most faithful to the smallest; ``len`` is their number, and number 0 changes nothing."""

    start: Mapping[str, Option]
    steps: tuple[_Step, ...]

    def __len__(self) -> int:
        return len(self.steps) + 1

    def choice(self, number: int) -> dict[str, Option]:
        """Return the option of every weight after ``number`` steps."""
        chosen = dict(self.start)
        for step in self.steps[:number]:
            chosen[step.site] = step.option
        return chosen

    def nbytes(self, number: int) -> int:
        """Return the bytes of all weights after ``number`` steps."""
        return sum(option.nbytes for option in self.start.values()) - sum(step.saved for step in self.steps[:number])

    def loss(self, number: int) -> float:
        """Return the predicted loss after ``number`` steps: losses of single weights, added up."""
        return sum(option.loss for option in self.start.values()) + sum(step.cost for step in self.steps[:number])

    def within(self, nbytes: int) -> int | None:
        """Return the fewest steps after which the weights take at most ``nbytes``; None when no number suffices."""
        return next((number for number in range(len(self)) if self.nbytes(number) <= nbytes), None)


def greedy_road(options: Mapping[str, Sequence[Option]]) -> Road:
    """Order the steps of all weights by loss per byte saved.

    Args:
        options: Of each weight, at least one; the one with least loss (of these the smallest) is where the road starts.
    """
    start: dict[str, Option] = {}
    steps: list[tuple[float, int, _Step]] = []
    for site, choices in options.items():
        hull = _hull(choices)
        start[site] = hull[0]
        for before, after in pairwise(hull):
            saved, cost = before.nbytes - after.nbytes, after.loss - before.loss
            steps.append((cost / saved, len(steps), _Step(site, after, saved, cost)))
    return Road(start, tuple(step for _, _, step in sorted(steps, key=lambda entry: entry[:2])))


def _hull(options: Sequence[Option]) -> list[Option]:
    """Return the options on the lower convex hull, from least loss to fewest bytes."""
    hull: list[Option] = []
    for option in sorted(options, key=lambda option: (option.loss, option.nbytes)):
        if hull and option.nbytes >= hull[-1].nbytes:
            continue  # as large and no better
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], option):
            hull.pop()
        hull.append(option)
    return hull


def _slope(one: Option, other: Option) -> float:
    return (other.loss - one.loss) / (one.nbytes - other.nbytes)
