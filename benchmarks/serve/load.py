"""Callers of a server: one that measures each answer, or sixteen that never wait; standard library, no parsing."""

import asyncio
import http.client
import statistics
import time
from dataclasses import dataclass

__all__ = ["Load", "callers", "first_answer", "single"]


@dataclass(frozen=True)
class Load:
    """Answers a second, and how long one took: median and 99th percentile, in ms."""

    per_second: float
    p50_ms: float
    p99_ms: float


def first_answer(port: int, path: str, body: bytes, timeout_s: float) -> bytes:
    """Ask every 2 ms until the server answers with 200; return what it says."""
    ends = time.perf_counter() + timeout_s
    while time.perf_counter() < ends:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            if response.status == 200:
                return content
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.002)
    message = f"no answer within {timeout_s:g} s"
    raise TimeoutError(message)


class _Caller(asyncio.Protocol):
    """Sends the same request again as soon as its answer is whole; all answers are as long as the first."""

    def __init__(self, request: bytes, times: list[float], until: float, done: "asyncio.Future[None]") -> None:
        self.request, self.times, self.until, self.done = request, times, until, done
        self.left = 0
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        start = self.buffer.lower().index(b"content-length:") + 15
        length = int(self.buffer[start : self.buffer.index(b"\r\n", start)])
        if len(self.buffer) < head + 4 + length:
            return
        if not self.buffer.startswith(b"HTTP/1.1 200"):
            self._end(ValueError(self.buffer[:200].decode("latin-1")))
            return
        self.buffer = b""
        now = time.perf_counter()
        self.times.append(now - self.sent)
        if now < self.until:
            self._send()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("the server closed the connection"))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)
        self.transport.close()


def callers(port: int, path: str, body: bytes, count: int, seconds: float) -> Load:
    """Let ``count`` callers with a connection each ask as fast as they are answered, for some seconds."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def run() -> tuple[list[float], float]:
        loop = asyncio.get_running_loop()
        times: list[float] = []
        started = time.perf_counter()
        ends = [loop.create_future() for _ in range(count)]
        for done in ends:
            await loop.create_connection(
                lambda done=done: _Caller(request, times, started + seconds, done), "127.0.0.1", port
            )
        await asyncio.gather(*ends)
        return times, time.perf_counter() - started

    times, took = asyncio.run(run())
    times.sort()
    return Load(len(times) / took, statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3)


def single(port: int, path: str, body: bytes, seconds: float) -> Load:
    """Let one caller ask, one request after the other."""
    return callers(port, path, body, 1, seconds)
