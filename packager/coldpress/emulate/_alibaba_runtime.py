"""Starts a function as Function Compute's built-in Python runtime does, and hands it events one after the other.

Run as ``python -I -S -B _alibaba_runtime.py TASK_ROOT LINE``, with the handler's name in FC_FUNCTION_HANDLER: the code
package first on the path, nothing else. The module is loaded once, then the instance's initializer is called when
FC_INITIALIZER_HANDLER names one, then the handler for each event, with the event's bytes and an ``FCContext`` of the
fields that Alibaba documents for Python 3.12: no credentials among them, those are in the environment.

LINE is the number of a socket that whoever started this left open. A message is its length (4 bytes, big-endian) and
its bytes: to here, the request id and then the event; from here, ``{"error": ...}``, or ``{}`` and then the payload.
"""

import sys

task_root, number = sys.argv[1:]
sys.path.insert(0, task_root)

# ruff: noqa: E402
import site  # Function Compute's interpreter has run it too; here without looking for packages

site.setquit()
site.setcopyright()
site.sethelper()

import importlib
import json
import os
import socket
from typing import Any, BinaryIO

NAME = os.environ["FC_FUNCTION_NAME"]


class FunctionMeta:
    """The function as it is set up."""

    def __init__(self) -> None:
        self.name = NAME
        self.handler = os.environ["FC_FUNCTION_HANDLER"]
        self.memory = int(os.environ["FC_FUNCTION_MEMORY_SIZE"])
        self.timeout = int(os.environ["FC_TIMEOUT"])
        self.version_id = os.environ["FC_FUNCTION_VERSION"]
        self.qualifier = "LATEST"


class FCContext:
    """What a handler gets beside the event."""

    def __init__(self, request_id: str) -> None:
        self.account_id = os.environ["FC_ACCOUNT_ID"]
        self.request_id = request_id
        self.function = FunctionMeta()
        self.logger = None
        self.log_project = ""
        self.log_store = ""
        self.region = os.environ["FC_REGION"]

    def getLogger(self) -> Any:  # noqa: N802 - the name that Alibaba documents
        """Return the logger of the standard library that the platform writes to the function's log."""
        import logging  # noqa: PLC0415 - a function that logs by itself need not pay for it

        self.logger = logging.getLogger()  # type: ignore[assignment]
        return self.logger


def send(line: BinaryIO, *parts: bytes) -> None:
    """Write messages."""
    line.write(b"".join(len(part).to_bytes(4, "big") + part for part in parts))
    line.flush()


def receive(line: BinaryIO) -> bytes:
    """Read a message; end with the process when there is nobody any more."""
    head = line.read(4)
    if len(head) < 4:
        raise SystemExit
    return line.read(int.from_bytes(head, "big"))


def failure(error: BaseException) -> bytes:
    """Describe an error as the platform shows it to callers."""
    import traceback  # noqa: PLC0415 - rare

    stack = [
        [f'File "{frame.filename}"', f"line {frame.lineno}", f"in {frame.name}", frame.line or ""]
        for frame in traceback.extract_tb(error.__traceback__)[1:]
    ]
    shown = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": stack}
    return json.dumps({"error": shown}).encode()


def load(name: str) -> Any:
    """Load ``module.function``; the module may lie in a folder (``folder/module.function``)."""
    module, _, function = name.rpartition(".")
    return getattr(importlib.import_module(module.replace("/", ".")), function)


def main() -> None:
    """Load the function, say that it is ready, and serve events until the line is cut."""
    try:
        handler = load(os.environ["FC_FUNCTION_HANDLER"])
        if initializer := os.environ.get("FC_INITIALIZER_HANDLER"):
            load(initializer)(FCContext("init"))
        ready = b"{}"
    except Exception as error:  # noqa: BLE001 - whatever the function's own code raises
        handler, ready = None, failure(error)
    line = socket.socket(fileno=int(number))
    reader, writer = line.makefile("rb"), line.makefile("wb")
    send(writer, ready)
    while handler is not None:
        request_id, event = receive(reader).decode(), receive(reader)
        try:
            result = handler(event, FCContext(request_id))
            payload = result.encode() if isinstance(result, str) else result
            if not isinstance(payload, bytes):
                payload = json.dumps(payload).encode()
        except Exception as error:  # noqa: BLE001 - likewise
            send(writer, failure(error))
        else:
            send(writer, b"{}", payload)


main()
