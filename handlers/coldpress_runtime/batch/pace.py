"""How large chunks are and when to stop: by the speed that was measured and the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldpress_runtime.batch.chunks import Sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from coldpress_runtime.batch.scoring import Scored

__all__ = ["Pace"]

_FIRST_ROWS = 1
_CHUNK_S = 0.7
_GROWTH = 8
_RESERVE_S = 2.0


class Pace:
    """Sizes of chunks that take about a second each, and whether there is time for another one.

    The first chunk is one row, since nobody knows yet how slow the model is: many of minutes each would not be done
    before the time is up, in no process. A chunk of a fast model is bounded by its
    bytes: more would take more memory and go no faster.

    Args:
        time_left: seconds that this process has.

    Attributes:
        sizes: of the next chunk; it changes in place.
        slowest_s: how long the slowest chunk took.
    """

    def __init__(self, time_left: Callable[[], float]) -> None:
        self.sizes = Sizes(rows=_FIRST_ROWS)
        self.slowest_s = 0.0
        self._limit = Sizes().rows
        self._time_left = time_left
        self._write_s = 0.0

    def learn(self, scored: Scored) -> None:
        """Take a chunk's time into account."""
        seconds = sum(spent for part, spent in scored.seconds.items() if part != "total")
        self.slowest_s = max(self.slowest_s, seconds)
        wanted = scored.count * _CHUNK_S / max(seconds, 1e-6)
        self.sizes.rows = max(1, min(int(wanted), self.sizes.rows * _GROWTH, self._limit))

    def write_took(self, seconds: float) -> None:
        """Take the time of an upload or of a checkpoint into account."""
        self._write_s = max(self._write_s, seconds)

    def is_over(self) -> bool:
        """Whether the time left is needed to score what is under way and to save the state."""
        return self._time_left() < _RESERVE_S + 3 * self.slowest_s + 3 * self._write_s
