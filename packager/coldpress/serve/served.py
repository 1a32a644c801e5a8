"""A started function that answers as long as it is served: one that has ended is started again, as its provider would.

Nothing here knows HTTP servers: `coldpress.serve.app` hands requests in and takes replies out.
"""

import threading
from collections.abc import Callable
from typing import Self

from coldpress.emulate.function import LocalFunction
from coldpress.emulate.http import Call, HttpRequest
from coldpress.errors import EmulateError

__all__ = ["Served"]


class Served:
    """The function that ``start`` starts, for callers on many threads. Use as a context manager.

    Args:
        start: starts the function; called at once, and again for the first request after it has ended.

    Raises:
        EmulateError: it does not start.
    """

    def __init__(self, start: Callable[[], LocalFunction]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._function: LocalFunction | None = start()
        self.first = self._function
        self._log = ""
        self._closed = False

    def call(self, request: HttpRequest) -> Call:
        """Send one request and wait for the answer.

        Raises:
            EmulateError: there was none: the function ended, took too long, or does not start again.
        """
        function = self._running()
        try:
            return function.call(request)
        except EmulateError:
            self._drop_ended(function)
            raise

    def log(self) -> str:
        """Return what the function has written so far; of one that has ended, until the next one says something."""
        function = self._function
        return (function.logs() if function is not None else "") or self._log

    def close(self) -> None:
        """End the function, and start none again; a call that is under way fails."""
        with self._lock:
            self._closed = True
            if self._function is not None:
                self._function.close()
                self._function = None

    def _running(self) -> LocalFunction:
        with self._lock:
            if self._closed:
                raise EmulateError("The server is stopping; start it again.")
            if self._function is None:
                self._function = self._start()
            return self._function

    def _drop_ended(self, function: LocalFunction) -> None:
        with self._lock:
            if self._function is function and not _runs(function):
                self._log = function.logs()
                self._function = None
                function.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _runs(function: LocalFunction) -> bool:
    """Whether the process is there: its memory can be read then."""
    try:
        return function.peak_mb > 0
    except (EmulateError, OSError):
        return False
