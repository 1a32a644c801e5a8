"""The time a search may take, and how it ends early: at its limit, or when the user has seen enough."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["Clock", "OutOfTimeError"]

_Item = TypeVar("_Item")


class OutOfTimeError(Exception):
    """The search has used its time; what was found so far stands."""


class Clock:
    """Counts down ``limit_s`` seconds from now."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._end = time.monotonic() + limit_s

    @property
    def left(self) -> float:
        """Seconds left; negative once they are used up."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raise ``OutOfTimeError`` when no time is left."""
        if self.left <= 0:
            raise OutOfTimeError

    def until(self, items: Iterable[_Item], share: float) -> Iterator[_Item]:
        """Yield ``items`` until ``share`` of the time that is left now has been used."""
        stop = time.monotonic() + share * max(0.0, self.left)
        for item in items:
            if time.monotonic() > stop:
                return
            yield item
