"""Requests that a model can be run on, with what is known of them: labels, states, sequences, origin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["LABEL", "MAX_BYTES", "SEQUENCE", "SampleSet"]

LABEL = "label"
"""The key that holds the right answers, one a row, for a task metric."""

SEQUENCE = "sequence"
"""The key that says which requests follow each other: those with the same value, in their order."""

MAX_BYTES = 2 << 30
"""The most that the samples of one source may hold once unpacked."""


@dataclass(frozen=True)
class SampleSet:
    """Requests that a model can be run on.

    Attributes:
        requests: One mapping of input name to value (numpy array, or list for a sequence input) a request.
        labels: The right answers, one row a request, or None.
        origin: The file's name, or ``synthesized``.
        assumed: What had to be assumed to make these, one sentence each; empty where a user gave all that was needed.
        states: Inputs that carry a state, each with the output that feeds it in the next request of a sequence.
        sequence: The number of the sequence that each request belongs to; empty where every request stands alone.
    """

    requests: tuple[Mapping[str, Any], ...]
    labels: "Array | None" = None
    origin: str = "synthesized"
    assumed: tuple[str, ...] = ()
    states: Mapping[str, str] = field(default_factory=dict)
    sequence: tuple[int, ...] = ()

    def head(self, count: int) -> "SampleSet":
        """Return the first ``count`` requests."""
        return self.take(range(min(count, len(self.requests))))

    def take(self, places: Sequence[int]) -> "SampleSet":
        """Return the requests at ``places``, in that order, with their labels and sequences."""
        return replace(
            self,
            requests=tuple(self.requests[place] for place in places),
            labels=None if self.labels is None else self.labels[list(places)],
            sequence=tuple(self.sequence[place] for place in places) if self.sequence else (),
        )
