"""What is left of a deadline, for whatever waits.

A deadline is a value of ``perf_counter()``. Each wait gets what is left of it then; a limit that began anew with each
wait would let ten slow steps take ten times as long.
"""

from __future__ import annotations

from threading import Thread
from time import perf_counter

from coldpress_runtime.errors import DoorLateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["late", "left", "within"]


def left(ends: float, doing: str) -> float:
    """Seconds until ``ends``, above 0; raises DoorLateError when there are none, ``doing`` says at what."""
    seconds = ends - perf_counter()
    if seconds <= 0:
        raise late(doing)
    return seconds


def late(doing: str) -> DoorLateError:
    """The error of a deadline that has passed."""
    return DoorLateError(f"The endpoint was not {doing} within the time that this request had left; try again.")


def within(ends: float, doing: str, act: Callable[[], T]) -> T:
    """Call what has no limit of its own (a resolver, a library that fetches tokens) and wait no longer than ``ends``.

    It runs on a thread, which goes on by itself when its result comes too late for anybody. Raises what ``act`` raises,
    and DoorLateError.
    """
    result: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            result.append(act())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits
            raised.append(error)

    thread = Thread(target=run, name="door", daemon=True)
    thread.start()
    thread.join(left(ends, doing))
    if raised:
        raise raised[0]
    if not result:
        raise late(doing)
    return result[0]
