"""What is sent to an endpoint and what comes back, as all of the door's parts hand it on."""

from __future__ import annotations

from typing import NamedTuple

from coldpress_runtime.errors import DoorBusyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.errors import DoorError

__all__ = ["Broken", "Message", "Origin", "Reply", "too_many"]


class Origin(NamedTuple):
    """Where connections go."""

    scheme: str
    host: str
    port: int
    allow_private: bool
    service: str = ""  # of AWS, for signatures


class Message(NamedTuple):
    """A request as it is sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        """Headers hold secrets, and bodies callers' data: neither is shown."""
        return f"Message({self.method} {self.target})"


class Reply(NamedTuple):
    """An answer as it came, decompressed; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Broken(Exception):  # noqa: N818 - an outcome that carries the error
    """No answer of use came.

    Attributes:
        error: what to tell the caller.
        again: whether the question may be sent again: nothing of an answer had come, or one that asks for it.
        stale: whether a connection that was kept had been closed by the other side in the meantime.
        retry_after: seconds for which the endpoint asked to be left alone; None when it did not.
        blamed: whether the endpoint failed; what a caller asked for may as well be the reason.
    """

    def __init__(
        self,
        error: DoorError,
        *,
        again: bool,
        stale: bool = False,
        retry_after: float | None = None,
        blamed: bool = True,
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.again = again
        self.stale = stale
        self.retry_after = retry_after
        self.blamed = blamed


def too_many(concurrency: int) -> DoorBusyError:
    """The error of a question for which there is no room."""
    return DoorBusyError(f"This function asks the endpoint {concurrency} questions at a time; try again in a second.")
