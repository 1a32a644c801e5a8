"""Metrics: how right answers are, by labels, by the original's answers, or by the user's own function."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Scores = npt.NDArray[np.float64]

__all__ = ["Metric", "resolve_metric"]

Answers = Iterable[Mapping[str, Any]]


class Metric:
    """A number that says how right a model's answers are.

    Attributes:
        name: As the user writes it.
        direction: Whether more is better.
        needs_labels: Whether it holds answers against labels rather than against the original's answers.
    """

    name: str
    direction: Literal["higher", "lower"] = "higher"
    needs_labels: bool = False

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> "Scores | None":
        """Return the score of each sample, float64 [n]; None for a metric that is no mean of such scores."""
        raise NotImplementedError

    def value(self, answers: Answers, labels: Any, original: Answers | None = None) -> float:
        """Return the metric; answers are their own yardstick where ``original`` is left out."""
        raise NotImplementedError

    def drop(self, before: Answers, after: Answers, labels: Any) -> float:
        """Return by how much ``after`` is worse than ``before``, the original's answers; negative when it is better."""
        raise NotImplementedError


def resolve_metric(name: str | None, labelled: bool) -> Metric:
    """Return the metric ``name``: ``accuracy``, ``f1``, ``mae``, ``cosine``, ``agreement`` or ``module:function``.

    None means accuracy when there are labels, else cosine.

    Raises:
        ConfigError: There is no such metric or function.
        SamplesError: It needs labels and there are none.
    """
    raise NotImplementedError
