"""A file's ranges, several at a time, into one buffer, and its digest while they arrive.

Threads take the ranges in order and fill their places. This thread computes the digest of what is whole from the start
on, which costs no time of its own: hashlib and sockets let go of the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import random
import threading
from time import perf_counter

from coldpress_runtime.errors import WeightsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Reader(Protocol):
        """One connection, kept from range to range."""

        def read(self, start: int, into: memoryview) -> None:
            """Fill ``into`` with the bytes from ``start`` on; raises BrokenOffError or WeightsError."""
            ...

        def close(self) -> None:
            """Let go of the connection."""
            ...

        def interrupt(self) -> None:
            """Break off what another thread has under way."""
            ...

    class Source(Protocol):
        """A file somewhere."""

        name: str

        def reader(self) -> Reader:
            """Return a new connection to it, which is made when it is first used."""
            ...


__all__ = ["RANGE_BYTES", "BrokenOffError", "stream"]

RANGE_BYTES = 8 << 20
_ATTEMPTS = 4
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 5.0
_PARTING_S = 1.0


class BrokenOffError(Exception):
    """A range did not arrive whole, for a reason that may pass; ``wait_s`` is what the store asks for."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


def stream(source: Source, buffer: memoryview, parts: int, ends: float) -> str:
    """Fill ``buffer`` with the file, and return its SHA-256.

    Args:
        source: the file.
        buffer: as large as it is.
        parts: ranges at a time.
        ends: by when it must be there, as ``perf_counter`` tells.

    Raises:
        WeightsError: one sentence.
    """
    starts = range(0, len(buffer), RANGE_BYTES)
    crew = _Crew(source, buffer, starts)
    digest = hashlib.sha256()
    begun = perf_counter()
    try:
        crew.begin(min(parts, len(starts)))
        for number, start in enumerate(starts):
            if not crew.wait_for(number, ends):
                took = perf_counter() - begun
                raise WeightsError(
                    f"{source.name} gave {crew.arrived / 1e6:,.1f} MB of {len(buffer) / 1e6:,.1f} MB in {took:.1f} s, "
                    "and the function has no longer to start; raise function.timeout_s, or keep the weights nearer."
                )
            digest.update(buffer[start : start + RANGE_BYTES])
    finally:
        crew.end()
    return digest.hexdigest()


class _Crew:
    """Threads with a connection each.

    Attributes:
        arrived: bytes of whole ranges so far.
    """

    def __init__(self, source: Source, buffer: memoryview, starts: range) -> None:
        self.arrived = 0
        self._source, self._buffer = source, buffer
        self._open = iter(enumerate(starts))
        self._whole = [False] * len(starts)
        self._news = threading.Condition()
        self._over = threading.Event()
        self._problem: BaseException | None = None
        self._readers: list[Reader] = []
        self._threads: list[threading.Thread] = []

    def begin(self, count: int) -> None:
        for _ in range(count):
            self._readers.append(self._source.reader())
            self._threads.append(threading.Thread(target=self._work, args=(self._readers[-1],), daemon=True))
        for thread in self._threads:
            thread.start()

    def wait_for(self, number: int, ends: float) -> bool:
        """Wait until a range is whole; False when time is up. Raises what went wrong."""
        with self._news:
            self._news.wait_for(lambda: self._whole[number] or self._problem, max(0.0, ends - perf_counter()))
            if self._problem is not None:
                raise self._problem
            return self._whole[number]

    def end(self) -> None:
        """Break off what is under way; whoever is still connecting notices on his own."""
        self._over.set()
        for reader in self._readers:
            reader.interrupt()
        for thread in self._threads:
            thread.join(_PARTING_S)

    def _work(self, reader: Reader) -> None:
        try:
            while not self._over.is_set():
                with self._news:
                    number, start = next(self._open, (-1, 0))
                if number < 0:
                    return
                place = self._buffer[start : start + RANGE_BYTES]
                self._fill(reader, start, place)
                with self._news:
                    self._whole[number] = True
                    self.arrived += len(place)
                    self._news.notify()
        except BaseException as problem:  # noqa: BLE001  (it is raised where somebody waits)
            with self._news:
                self._problem = self._problem or problem
                self._news.notify()
        finally:
            reader.close()

    def _fill(self, reader: Reader, start: int, place: memoryview) -> None:
        """Read a range, and again when it breaks off."""
        for attempt in range(_ATTEMPTS):
            try:
                return reader.read(start, place)
            except BrokenOffError as broken:
                if attempt == _ATTEMPTS - 1 or self._over.is_set():
                    raise WeightsError(
                        f"{self._source.name} broke off {_ATTEMPTS} times at byte {start:,} ({broken}); start the "
                        "function again, and look at the store if that does not help."
                    ) from None
                wait_s = _FIRST_WAIT_S * 4**attempt * random.uniform(0.5, 1.0)  # noqa: S311  (it keeps no secret)
                self._over.wait(min(max(wait_s, broken.wait_s), _LONGEST_WAIT_S))
        return None
