"""HTTP over connections that are kept, each socket operation within what is left of one deadline.

http.client speaks the protocol. It reads and writes through :class:`_Wire`, which gives every operation the time that
is left: with a plain timeout, a body that comes byte by byte would begin it anew with each byte.
"""

from __future__ import annotations

import http.client
import io
import select
import socket
from time import time

from coldpress_runtime.errors import DoorAnswerError, DoorError, RequestError
from coldpress_runtime.fallback.deadline import late, left
from coldpress_runtime.fallback.messages import Broken, Reply
from coldpress_runtime.inflate import inflate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.fallback.messages import Message, Origin

__all__ = ["Connection"]

_IDLE_S = 55.0  # load balancers close what was idle for a minute, and a frozen function does not hear of it
_PIECE = 1 << 20
_READ = "read to the end"


class _Wire(io.RawIOBase):
    """What a socket receives, each time within what is left until ``ends``."""

    def __init__(self, link: socket.socket) -> None:
        super().__init__()
        self._link = link
        self.ends: float | None = None  # None: receive nothing more
        self.received = 0

    def readable(self) -> bool:
        """Whether it can be read from."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Receive into a buffer."""
        if self.ends is None:
            return None
        self._link.settimeout(left(self.ends, _READ))
        count = self._link.recv_into(buffer)
        self.received += count
        return count


class _Reader(io.BufferedReader):
    """One for all answers of a connection: http.client closes its own after each."""

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes; never all that come, which http.client takes a chunk of the length -1 for."""
        if size is None or size < 0:
            raise ValueError(size)
        return super().read(size)

    def close(self) -> None:
        """Stay open."""


class _Socket:
    """As much of a socket as http.client uses."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.wire = _Wire(link)
        self._reader = _Reader(self.wire, 65536)

    def sendall(self, data: bytes) -> None:
        assert self.wire.ends is not None  # noqa: S101 - set before anything is sent
        self._link.settimeout(left(self.wire.ends, "sent the request"))
        self._link.sendall(data)  # the limit is that of the whole call

    def makefile(self, _mode: str) -> io.BufferedReader:
        return self._reader

    def has_more(self) -> bool:
        """Whether something came behind the answer and was read with it."""
        self.wire.ends = None
        return bool(self._reader.peek(1))

    def close(self) -> None:
        """Stay open: the connection closes its socket itself."""


class Connection:
    """One connection to the endpoint, for one question at a time."""

    def __init__(self, origin: Origin, link: socket.socket) -> None:
        self._link = link
        self._socket = _Socket(link)
        self._http = http.client.HTTPConnection(origin.host, origin.port)
        self._http.default_port = 443 if origin.scheme == "https" else 80  # so that Host names no usual port
        self._http.auto_open = 0
        self._http.sock = self._socket
        self.reused = False
        self.idle_since = 0.0

    def exchange(self, message: Message, ends: float, limit: int) -> tuple[Reply, bool]:
        """Send a question and read its answer of at most ``limit`` bytes; returns also whether to keep the connection.

        Raises Broken.
        """
        wire = self._socket.wire
        wire.ends = ends
        wire.received = 0
        response = None
        try:
            response = self._ask(message)
            if response.status < 200 or 300 <= response.status < 400:
                raise _no_answer(response.status)
            body = _read(response, limit)
            keep = not response.will_close and not self._socket.has_more()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, headers, _plain(body, headers, limit)), keep
        except DoorError as error:
            raise Broken(error, again=False) from None
        except TimeoutError as error:
            if error.errno is not None:  # not our limit: the system gave up on a connection whose other side is gone
                raise self._hung_up() from None
            raise Broken(late(_READ if wire.received else "heard from"), again=False) from None
        except (OSError, EOFError, http.client.IncompleteRead):
            raise self._hung_up() from None
        except (http.client.HTTPException, ValueError):  # ValueError: the length of a chunk, or of the body
            raise Broken(
                DoorAnswerError("The endpoint's answer is not HTTP; is the URL that of a model server?"), again=False
            ) from None
        finally:
            if response is not None:
                response.close()  # left to be collected, it would complain that there is no socket any more

    def _ask(self, message: Message) -> http.client.HTTPResponse:
        client = self._http
        try:
            client.request(message.method, message.target, message.body, message.headers)
        except (BrokenPipeError, ConnectionResetError):
            # Refused halfway, and perhaps with an answer that says why: then it is there to be read.
            if not _is_readable(self._link):
                raise
        return client.getresponse()

    def _hung_up(self) -> Broken:
        if self._socket.wire.received:
            return Broken(
                DoorAnswerError("The endpoint hung up in the middle of its answer; look at its log."), again=False
            )
        return Broken(
            DoorError("The endpoint hung up before it answered; look at its log."), again=True, stale=self.reused
        )

    def is_usable(self) -> bool:
        """Whether a connection that was kept is still silent: what can be read before a question is its end."""
        if not 0 <= time() - self.idle_since < _IDLE_S:
            return False
        return not _is_readable(self._link)

    def abort(self) -> None:
        """End it from another thread: whoever reads from it wakes up, and closes it."""
        try:  # noqa: SIM105 - contextlib is not worth its import
            self._link.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def close(self) -> None:
        """Close the socket."""
        self._link.close()


def _is_readable(link: socket.socket) -> bool:
    poll = select.poll()  # select() stops at the 1024th file
    poll.register(link, select.POLLIN)
    return bool(poll.poll(0))


def _no_answer(status: int) -> DoorAnswerError:
    if status < 200:
        return DoorAnswerError(f"The endpoint answered {status}, which is no answer; is the URL a model server's?")
    return DoorAnswerError(
        f"The endpoint answered {status}, a redirect, which is not followed; set the URL that it leads to."
    )


def _read(response: http.client.HTTPResponse, limit: int) -> bytes:
    """The body; raises Broken as soon as it is known to be over ``limit`` bytes."""
    declared = response.getheader("content-length")
    if declared is not None and not response.chunked and not (declared.isascii() and declared.isdecimal()):
        raise DoorAnswerError(f"The endpoint's Content-Length is {declared[:24]!r}, expected a number of bytes.")
    length = response.length
    if length is not None and length > limit:
        raise _oversized(limit)
    if length is not None and length <= _PIECE:
        whole = response.read(length) if length else b""
        if len(whole) != length:
            raise EOFError
        return whole
    body = bytearray()
    while piece := response.read(_PIECE):
        body += piece
        if len(body) > limit:
            raise _oversized(limit)
    if length is not None and len(body) != length:
        raise EOFError
    return bytes(body)


def _oversized(limit: int) -> Broken:
    error = DoorAnswerError(
        f"The endpoint's answer is over the {limit} bytes that this function takes; send fewer rows, or raise "
        "answer_bytes."
    )
    return Broken(error, again=False, blamed=False)  # or callers could close the door to each other


def _plain(body: bytes, headers: dict[str, str], limit: int) -> bytes:
    encoding = headers.pop("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "x-gzip"}:
        raise DoorAnswerError(f"The endpoint's Content-Encoding is {encoding[:24]!r}, expected gzip or none.")
    try:
        return inflate(body, encoding, limit)
    except RequestError as error:
        raise DoorAnswerError(f"The endpoint's answer cannot be decompressed: {error}") from None
