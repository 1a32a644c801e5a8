"""Run a built function as Function Compute 3.0 would: its own process, the contract of the built-in Python runtime.

Alibaba Cloud's runtime is in no package registry, only in container images, so this keeps to what is documented of it:
``_alibaba_runtime.py`` starts the function, and events and replies are those of an HTTP trigger.
"""

import json
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from coldpress.emulate.alibaba_events import make_event, read_reply
from coldpress.emulate.http import Call, HttpRequest
from coldpress.emulate.process import CLEAN, FunctionProcess
from coldpress.errors import EmulateError

__all__ = ["ComputeFunction", "Invocation"]

_RUNTIME = Path(__file__).with_name("_alibaba_runtime.py")
_LAST_WORDS_S = 1.0  # for a process that has just ended: its own words say more than a broken line


@dataclass(frozen=True, slots=True)
class Invocation:
    """What came of one event: the payload, or the error as the platform shows it, and how long that took."""

    payload: bytes
    error: Mapping[str, Any] | None
    ms: float


class ComputeFunction(FunctionProcess):
    """A started function: a process that waits for events, one at a time. Use as a context manager.

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        handler: ``module.function``.
        initializer: the instance's initializer hook, likewise; empty: none.
        options: those of `FunctionProcess`.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """

    EMPTY: ClassVar[Mapping[str, str]] = {"index.py": "def handler(event, context):\n    return {'statusCode': 200}\n"}

    def __init__(
        self, build: str | Path, *, handler: str = "index.handler", initializer: str = "", **options: Any
    ) -> None:
        self._handler, self._initializer = handler, initializer
        self._line: socket.socket | None = None
        self._gone = threading.Event()
        self._why: str | None = None
        self._turn = threading.Lock()
        super().__init__(build, **options)

    def _begin(self, environment: dict[str, str]) -> float:
        line, theirs = socket.socketpair()  # not a port: nobody else can be at its other end
        self._line = line
        line.settimeout(self.init_timeout_s)
        command = [self.python, "-I", "-S", "-B", _RUNTIME, self.root, str(theirs.fileno())]
        with theirs:  # once the process has its own, its end is what closes the line
            started = self._spawn(command, CLEAN | self._variables() | environment, pass_fds=(theirs.fileno(),))
        self._reader = line.makefile("rb")
        try:
            ready = json.loads(_receive(self._reader))
        except TimeoutError:
            raise EmulateError(f"The function was not ready after {self.init_timeout_s:g} s of starting.") from None
        except OSError:
            raise EmulateError(f"The function failed while starting: {self._last_words()}") from None
        ms = (time.perf_counter() - started) * 1e3
        if error := ready.get("error"):
            raise EmulateError(f"The function failed while starting: {error['errorType']}: {error['errorMessage']}")
        line.settimeout(self.timeout_s)
        return ms

    def _variables(self) -> dict[str, str]:
        """Return the variables that Function Compute sets (help/en/functioncompute/fc/environment-variables)."""
        names = {"FC_INITIALIZER_HANDLER": self._initializer} if self._initializer else {}
        return names | {
            "FC_ACCOUNT_ID": "123456789012345",
            "FC_FUNCTION_HANDLER": self._handler,
            "FC_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "FC_FUNCTION_NAME": "function",
            "FC_FUNCTION_VERSION": "LATEST",
            "FC_FUNC_CODE_PATH": str(self.root),
            "FC_INSTANCE_ID": "c-local",
            "FC_REGION": "cn-shanghai",
            "FC_RUNTIME": f"python{self.minor}",
            "FC_TIMEOUT": str(max(1, round(self.timeout_s))),
        }

    def _ended(self, why: str) -> None:
        self._why = why
        self._gone.set()

    def _last_words(self) -> str:
        self._gone.wait(_LAST_WORDS_S)
        return self._why or "it broke the connection"

    def call(self, request: HttpRequest, door: str | None = None) -> Call:
        """Send one request as the event ``door`` (an HTTP trigger's when None) and wait for its reply.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone; or the handler raised, or returned
                what the trigger does not take.
        """
        kind = door or "http"
        request_id = f"1-{uuid.uuid4()}"
        done = self.invoke(make_event(kind, request, request_id), request_id)
        if done.error is not None:
            raise EmulateError(
                f"The function's handler raised {done.error['errorType']}: {done.error['errorMessage']}; its log ends "
                f"with: {self.logs()[-300:].strip()}"
            )
        return Call(read_reply(kind, done.payload), done.ms)

    def invoke(self, event: bytes, request_id: str = "1-local") -> Invocation:
        """Send one event and wait for what comes of it.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone. A handler that raises is not an
                error here: the invocation's ``error`` says so.
        """
        with self._turn:
            if self._process is None or self._line is None:
                raise EmulateError("The function is closed; start another one.")
            try:
                sent = time.perf_counter()
                self._line.sendall(_message(request_id.encode()) + _message(event))
                error = json.loads(_receive(self._reader)).get("error")
                payload = _receive(self._reader) if error is None else b""
            except TimeoutError:
                self._kill()
                raise EmulateError(
                    f"The function did not answer within its time limit of {self.timeout_s:g} s."
                ) from None
            except OSError:
                raise EmulateError(self._last_words()) from None
            return Invocation(payload, error, (time.perf_counter() - sent) * 1e3)

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        super().close()
        if self._line is not None:
            self._line.close()


def _message(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def _receive(line: BinaryIO) -> bytes:
    head = line.read(4)
    size = int.from_bytes(head, "big")
    content = line.read(size)
    if len(head) < 4 or len(content) < size:
        raise ConnectionResetError
    return content
