"""Who runs functions that the local AWS is asked to invoke: the deployed code objects, under Lambda's own client."""

import json
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from coldpress.emulate.aws import LambdaFunction
from coldpress.errors import EmulateError

__all__ = ["Functions"]


class Functions:
    """A door through which functions are invoked. Use as a context manager.

    Attributes:
        before: is called with each event; what it raises, the caller gets as the function's error.
    """

    def __init__(self) -> None:
        self._starts: dict[str, Callable[[], LambdaFunction]] = {}
        self.before: Callable[[dict[str, Any]], object] = lambda _event: None
        self._idle: queue.SimpleQueue[tuple[str, LambdaFunction]] = queue.SimpleQueue()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Door)
        self._server.functions = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, name: str, start: Callable[[], LambdaFunction]) -> None:
        """Run the function ``name`` in processes that ``start`` starts, and in no others from now on."""
        self._starts[name] = start
        self._end_idle()

    def invoke(self, name: str, body: bytes) -> tuple[int, bytes]:
        """Run an event in a process that has nothing to do, or in a new one; 500 and the error when it fails."""
        try:
            self.before(json.loads(body))
        except RuntimeError as error:
            return 500, json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()
        function = self._take(name)
        try:
            answer = function.invoke(body)
        except EmulateError as error:
            function.close()
            return 500, json.dumps({"errorType": "Lambda.Unknown", "errorMessage": str(error)}).encode()
        self._idle.put((name, function))
        return (200, answer.payload) if answer.error is None else (500, json.dumps(answer.error).encode())

    def _take(self, name: str) -> LambdaFunction:
        others = []
        try:
            while True:
                found, function = self._idle.get_nowait()
                if found == name:
                    return function
                others.append((found, function))
        except queue.Empty:
            return self._starts[name]()
        finally:
            for other in others:
                self._idle.put(other)

    def close(self) -> None:
        """End the processes."""
        self._server.shutdown()
        self._server.server_close()
        self._end_idle()

    def _end_idle(self) -> None:
        while not self._idle.empty():
            self._idle.get()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class _Door(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.server.functions.invoke(self.path.removeprefix("/"), body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
