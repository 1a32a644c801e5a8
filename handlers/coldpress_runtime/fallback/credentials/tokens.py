"""Tokens that a library fetches, kept until shortly before they end."""

from __future__ import annotations

from threading import Lock
from time import time

from coldpress_runtime.errors import DoorError
from coldpress_runtime.fallback.deadline import late, left, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coldpress_runtime.fallback.messages import Message, Origin, Reply

__all__ = ["Tokens"]

_EARLY_S = 120.0  # a token that ends sooner is not sent any more: the question may wait in a queue


class Tokens:
    """Sends tokens as ``Authorization: Bearer``. Threads may share it, and one of them fetches for all.

    Args:
        provider: whose tokens they are, for messages.
        fetch: returns a token and when it ends, in seconds since 1970.
    """

    def __init__(self, provider: str, fetch: Callable[[], tuple[str, float]]) -> None:
        self._provider = provider
        self._fetch = fetch
        self._lock = Lock()
        self._token = ""
        self._ends = 0.0

    def headers(self, _origin: Origin, _message: Message, ends: float) -> dict[str, str]:
        """A token that is still good for a while; raises DoorError when none can be had until ``ends``."""
        if time() > self._ends - _EARLY_S:
            doing = f"given a token by {self._provider}"
            if not self._lock.acquire(timeout=left(ends, doing)):
                raise late(doing)
            try:
                if time() > self._ends - _EARLY_S:
                    self._token, self._ends = within(ends, doing, self._fetched)
            finally:
                self._lock.release()
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self, reply: Reply) -> bool:
        """Fetch a new token after a 401, because keys are changed now and then; a 403 is about permissions."""
        if reply.status == 401 and self._token:
            self._ends = 0.0
            return True
        return False

    def _fetched(self) -> tuple[str, float]:
        try:
            return self._fetch()
        except ImportError as error:
            raise DoorError(
                f"The endpoint wants a token by {self._provider}, and {error.name!r} is not in this bundle; add it to "
                "the function's requirements."
            ) from None
        except Exception as error:  # noqa: BLE001 - libraries raise what they like, and quote what they were given
            raise DoorError(
                f"{self._provider} gave no token ({type(error).__name__}); has this function an identity, and is "
                "fallback.endpoint.audience right?"
            ) from None
