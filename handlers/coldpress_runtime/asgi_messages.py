"""What an ASGI server hands over and takes back: the scope of a request, its body in pieces, headers as bytes."""

from __future__ import annotations

from coldpress_runtime.http import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from coldpress_runtime.http import Response

    Message = dict[str, Any]
    Receive = Callable[[], Awaitable[Message]]

__all__ = ["decode", "encode_headers", "read_body"]


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


async def read_body(receive: Receive, announced: str, limit: int) -> bytes | None:
    """Read a body, and no further than the limit; None when the caller goes."""
    size = int(announced[:18]) if announced.isdecimal() else 0
    if size <= limit:
        chunks: list[bytes] = []
        size = 0
        while size <= limit:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if not message.get("more_body"):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)
    unread = _Unread()
    unread.length = size
    return unread


def encode_headers(request: Request, response: Response) -> list[tuple[bytes, bytes]]:
    """Return a response's headers as ASGI has them, with the length of its body."""
    headers = [(name.lower().encode(), text.encode("latin-1")) for name, text in response.headers.items()]
    if request.method != "HEAD" and response.status not in {204, 304}:
        headers.append((b"content-length", b"%d" % len(response.body)))
    return headers
