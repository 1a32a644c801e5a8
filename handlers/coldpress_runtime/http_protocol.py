"""How uvicorn speaks HTTP over a connection, but for three things that it leaves to a proxy, and three that cost time.

An offer to change the protocol (``Upgrade: h2c``, as Java's clients make it) is passed over as RFC 9110 allows, and the
request answered; uvicorn would lose its body. A head that does not end is cut off before it fills the memory. And a
connection on which none comes is closed when its time is over, a new one too: a machine that is gone never says so.

And of a small request's time a third was spent on what it does not need: the head of its answer sent by itself, a task
to make it in, and memory mapped to read it into.
"""

from asyncio import Transport
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from coldpress_runtime.asgi_messages import resume

_HEAD_BYTES = 65536  # and what comes in one reading of the socket at most


class _Together:
    """A transport that holds back the head of an answer until its body, or its end, is there."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing  # asked for every answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self.flush()
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()


async def _rest(steps: Any, reached: Any) -> None:
    await resume(steps, reached)


class Protocol(HttpToolsProtocol):
    """One connection."""

    _unfinished = 0  # bytes since a head, a piece of a body, or a message was last complete
    _reading = False
    _due: Any = None  # an answer that is to be made, as soon as all that has come is read

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        # asyncio reads 256 KiB at a time, for which the C library maps and unmaps memory with every request: 13 µs.
        if hasattr(transport, "max_size"):  # other loops have no such setting, nor need it
            transport.max_size = _HEAD_BYTES
        self.transport = self._together = _Together(transport)  # type: ignore[assignment]
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection, also one that was reset."""
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Send what has no body."""
        self._together.flush()
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Read what came over the connection."""
        self._unfinished += len(data)
        self._reading = True
        try:
            self._feed(data)
            self._start()
        except HttpParserError:
            self._due = None
            self.send_400_response("Invalid HTTP request received.")
        else:
            if self._unfinished > _HEAD_BYTES:
                self.send_400_response(f"The head of a request, or what follows its body, is over {_HEAD_BYTES} bytes.")
        finally:
            self._reading = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._reading:
            self._due = (cycle, app)
        else:
            super()._start_asgi_task(cycle, app)

    def _start(self) -> None:
        """Make an answer here and now; only one that has to wait for something needs a task."""
        while self._due:
            (cycle, app), self._due = self._due, None
            if cycle.more_body:
                super()._start_asgi_task(cycle, app)
                continue
            steps = cycle.run_asgi(app)
            try:
                reached = steps.send(None)
            except StopIteration:
                continue
            task = self.loop.create_task(_rest(steps, reached))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:  # the parser has read the head, and takes no more
                data = self._head_without_offer() + data[offer.args[0] :]
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
            else:
                return

    def _head_without_offer(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise HttpParserError("there is nothing to connect to")
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def on_headers_complete(self) -> None:
        """Start the answer, unless the request is to be read again without its offer."""
        self._unfinished = 0
        self._unset_keepalive_if_required()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unfinished = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._unfinished = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()
