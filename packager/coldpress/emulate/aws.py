"""Run a built function as AWS Lambda would: its own process, AWS's runtime client, an empty environment."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from coldpress.emulate.clients import client
from coldpress.emulate.events import make_event, read_reply
from coldpress.emulate.http import Call, HttpRequest
from coldpress.emulate.process import CLEAN, FunctionProcess
from coldpress.emulate.runtime_api import Invocation, RuntimeApi
from coldpress.errors import EmulateError

__all__ = ["LambdaFunction"]

_LAUNCH = Path(__file__).with_name("_launch.py")


class LambdaFunction(FunctionProcess):
    """A started function: a process that waits for events. Use as a context manager.

    Example:
        >>> with LambdaFunction("build/aws") as function:
        ...     print(function.init_ms, function.invoke({"version": "2.0"}).json())

    Args:
        build: a folder that ``coldpress pack`` wrote, a zip, or an unpacked function.
        handler: ``module.function``.
        sdk: whether it finds boto3, which Lambda's own Pythons bring and few functions ask for.
        options: those of `FunctionProcess`.

    Raises:
        EmulateError: there is no function, or it fails to start; the message is the function's own.
    """

    EMPTY: ClassVar[Mapping[str, str]] = {"app.py": "def handler(event, context):\n    return {'statusCode': 200}\n"}

    def __init__(self, build: str | Path, *, handler: str = "app.handler", sdk: bool = False, **options: Any) -> None:
        self._handler = handler
        self._sdk = sdk
        self._api: RuntimeApi | None = None
        super().__init__(build, **options)

    def _begin(self, environment: dict[str, str]) -> float:
        runtime = client("aws", self.python, self.minor)
        api = self._api = RuntimeApi()
        folders = [runtime, client("aws-sdk", self.python, self.minor)] if self._sdk else [runtime]
        own = os.pathsep.join(map(str, folders))
        command = [self.python, "-I", "-S", "-B", _LAUNCH, self.root, own, self._handler]
        started = self._spawn(command, CLEAN | self._variables(runtime, api.address) | environment)
        return (api.wait_ready(self.init_timeout_s) - started) * 1e3

    def _ended(self, why: str) -> None:
        if (api := self._api) is not None:
            api.stopped(why)

    def call(self, request: HttpRequest, door: str | None = None) -> Call:
        """Send one request as the event ``door`` (an HTTP API's when None) and wait for its reply.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone; or the handler raised, or returned
                what the gateway does not take.
        """
        kind = door or "http-api"
        answer = self.invoke(make_event(kind, request))
        if answer.error is not None:
            named, said = answer.error.get("errorType") or "Error", answer.error.get("errorMessage", "")
            raise EmulateError(
                f"The function's handler raised {named}: {said}; its log ends with: {self.logs()[-300:].strip()}"
            )
        return Call(read_reply(kind, answer.payload), answer.ms)

    def invoke(self, event: Mapping[str, Any] | bytes) -> Invocation:
        """Send one event and wait for its answer.

        Args:
            event: what the handler gets, as a JSON-able mapping, or a JSON document as bytes.

        Raises:
            EmulateError: the process ended, or did not answer in time, and is gone. A handler that raises is not an
                error here: the answer's ``error`` says so.
        """
        if self._api is None or self._process is None:
            raise EmulateError("The function is closed; start another one.")
        payload = bytes(event) if isinstance(event, bytes | bytearray | memoryview) else json.dumps(event).encode()
        try:
            return self._api.invoke(payload, self.timeout_s)
        except EmulateError:
            self._kill()
            raise

    def close(self) -> None:
        """End the process and everything it started; forget its files."""
        super().close()
        if self._api is not None:
            self._api.close()
            self._api = None

    def _variables(self, runtime: Path, api: str) -> dict[str, str]:
        """Return what Lambda sets (docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html)."""
        return {
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_python{self.minor}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.memory_mb),
            "AWS_LAMBDA_FUNCTION_NAME": "function",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/function",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_LAMBDA_RUNTIME_API": api,
            "AWS_REGION": "eu-central-1",
            "LAMBDA_RUNTIME_DIR": str(runtime),
            "LAMBDA_TASK_ROOT": str(self.root),
            "_HANDLER": self._handler,
        }
