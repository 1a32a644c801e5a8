"""A circuit breaker: an endpoint that keeps failing is left alone for a while, then asked once to see.

::

    closed     everything passes; ``failures`` of them within ``window_s`` open it
    open       nothing passes for ``open_s``, or for as long as the endpoint asked for (``Retry-After``)
    half-open  one try passes, the probe; its success closes the breaker, its failure opens it again

What was let through before the breaker last changed its state says nothing about the endpoint of now, so it counts no
more.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Breaker", "OpenError"]

#: However long an endpoint asks to be left alone, it is asked again after that.
LONGEST_S = 120.0


class OpenError(Exception):
    """The breaker lets nothing through for another ``seconds``; ``reason`` is the failure that opened it."""

    def __init__(self, seconds: float, reason: Exception | None) -> None:
        super().__init__(f"open for another {seconds:.1f} s")
        self.seconds = seconds
        self.reason = reason


class Breaker:
    """Lets tries through, and is told what became of each. Threads may share it.

    Args:
        failures: so many within the window open it.
        window_s: how long a failure counts, in seconds.
        open_s: how long it stays open, in seconds.
        clock: seconds that only grow.
    """

    def __init__(self, failures: int, window_s: float, open_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._failures = failures
        self._window_s = window_s
        self._open_s = open_s
        self._clock = clock
        self._lock = Lock()
        self._failed: list[float] = []  # when, oldest first
        self._opens_at: float | None = None  # when a probe may pass; None while closed
        self._probe = False  # whether one is under way
        self._round = 0  # grows with every change of state
        self._reason: Exception | None = None

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        with self._lock:
            if self._opens_at is None:
                return "closed"
            return "open" if self._clock() < self._opens_at else "half-open"

    def enter(self) -> int:
        """Ask to be let through; returns what to hand to ``passed``, ``failed`` or ``dropped``, one of them, once.

        Raises OpenError.
        """
        with self._lock:
            if self._opens_at is None:
                return self._round
            left = self._opens_at - self._clock()
            if left > 0 or self._probe:
                raise OpenError(max(left, 0.0), self._reason)
            self._probe = True
            self._round += 1
            return self._round

    def passed(self, entry: int) -> None:
        """Say that the endpoint answered."""
        with self._lock:
            if entry == self._round and self._probe:
                self._opens_at, self._reason, self._probe = None, None, False
                self._failed.clear()

    def failed(self, entry: int, reason: Exception | None = None, retry_after: float | None = None) -> None:
        """Say that the endpoint failed.

        Args:
            entry: what ``enter`` returned.
            reason: the failure.
            retry_after: seconds for which the endpoint asked to be left alone; this opens the breaker by itself.
        """
        with self._lock:
            if entry != self._round:
                return
            now = self._clock()
            self._failed = [moment for moment in self._failed if now - moment < self._window_s]
            self._failed.append(now)
            if retry_after is None and not self._probe and len(self._failed) < self._failures:
                return
            seconds = self._open_s if retry_after is None else min(retry_after, LONGEST_S)
            self._opens_at, self._reason, self._probe = now + seconds, reason, False
            self._failed.clear()
            self._round += 1

    def dropped(self, entry: int) -> None:
        """Say that the try was given up before anything was learned; after a probe, the next one may be it."""
        with self._lock:
            if entry == self._round:
                self._probe = False

    def close(self) -> None:
        """Let everything through again: the endpoint was seen to be ready."""
        with self._lock:
            if self._opens_at is not None:
                self._opens_at, self._reason, self._probe = None, None, False
                self._failed.clear()
                self._round += 1
