"""What an ASGI server hands over and takes back: the scope of a request, its body in pieces, headers as bytes."""

from __future__ import annotations

from types import coroutine

from coldpress_runtime.errors import BusyError, LateError
from coldpress_runtime.http import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from typing import Any

    from coldpress_runtime.http import Response

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]

    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["Bodies", "decode", "encode_headers", "resume"]


def decode(scope: Message) -> Request:
    """Turn an ``http`` scope into a request, still without its body; its path is without the app's mount point."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    # The path as it was sent, as other clouds hand it over; servers that do not keep that have its text.
    path: str = (scope.get("raw_path") or b"").decode("latin-1")
    root = scope.get("root_path", "").rstrip("/")
    if not path or not path.startswith(root):
        path = scope["path"]
    if root and (path + "/").startswith(root + "/"):
        path = path[len(root) :] or "/"
    return Request(scope["method"], path, headers, query=scope.get("query_string", b"").decode("latin-1"))


class _Unread(bytes):
    """A body over the limit, of which only the length is kept: that is all the service asks before it refuses it."""

    length = 0

    def __len__(self) -> int:
        return self.length


class Bodies:
    """Reads bodies, so that callers who send much, or slowly, leave memory and time for the others.

    Args:
        limit: bytes of one body.
        room: bytes of all that are there at a time.
        patience_s: what a body may take to arrive; a caller whose machine is gone never says so.
    """

    def __init__(self, limit: int, room: int, patience_s: float = 60.0) -> None:
        self._limit = limit
        self._room = room
        self._patience_s = patience_s
        self._held = 0

    async def read(self, receive: Receive, announced: str) -> bytes | None:
        """Read a body, and no further than the limit; None when the caller goes. What is returned is to be freed.

        Raises BusyError when there is no room, LateError when it does not arrive in time.
        """
        size = int(announced[:18]) if announced.isdecimal() else 0
        if size > self._limit:
            return _unread(size)
        chunks: list[bytes] = []
        size = 0
        body = None
        try:
            patience = _Patience(self._patience_s)
            while size <= self._limit:
                message = await patience.wait(receive())
                if message["type"] == "http.disconnect":
                    return None
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                self._held += len(chunks[-1])
                if self._held > self._room:
                    raise _full()
                if not message.get("more_body"):
                    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                    return body
        except TimeoutError:
            raise LateError(f"The body was not all here within {self._patience_s:g} seconds; send it again.") from None
        finally:
            if body is None:
                self._held -= size
        return _unread(size)

    def hold(self, size: int) -> None:
        """Take room for bytes that came otherwise, or that a body was inflated to; raises BusyError without any."""
        if self._held + size > self._room:
            raise _full()
        self._held += size

    def release(self, size: int) -> None:
        """Give back what ``hold`` took."""
        self._held -= size

    def free(self, body: bytes) -> None:
        """Give back the room of a body that was read."""
        if type(body) is bytes:
            self._held -= len(body)


class _Patience:
    """Waits so long at most, for all that is awaited together; raises TimeoutError when that is over.

    Most bodies are there with the head of their request: a clock for each of those took 3 % of a small answer's time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends: float | None = None

    async def wait(self, message: Awaitable[Message]) -> Message:
        steps = message.__await__()
        try:
            reached = steps.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        from asyncio import get_running_loop, timeout_at  # noqa: PLC0415 - the server has loaded it

        if self._ends is None:
            self._ends = get_running_loop().time() + self._seconds
        async with timeout_at(self._ends):
            return await resume(steps, reached)


@coroutine
def resume(steps: Generator[Any, Any, T], reached: Any) -> Generator[Any, Any, T]:
    """Go on with what has been started, from what it waits for: what ``yield from`` does, but for its first step."""
    try:
        while True:
            try:
                sent = yield reached
            except BaseException as problem:  # noqa: BLE001 - also the end of patience, which comes as CancelledError
                reached = steps.throw(problem)
            else:
                reached = steps.send(sent)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _full() -> BusyError:
    return BusyError("There is no room for another body now; try again in a second.")


def _unread(size: int) -> bytes:
    body = _Unread()
    body.length = size
    return body


def encode_headers(request: Request, response: Response) -> list[tuple[bytes, bytes]]:
    """Return a response's headers as ASGI has them, with the length of its body."""
    headers = [(name.lower().encode(), text.encode("latin-1")) for name, text in response.headers.items()]
    if request.method != "HEAD" and response.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(response.body)))
    return headers
