"""Run a built function app as Azure Functions would: its own process, under Microsoft's worker library for Python.

The library (``azure-functions-runtime``) is what the Flex Consumption plan's worker calls for Python 3.13 and later. It
runs under earlier ones too, though it is not made for them: there Azure has an older worker, whose last release on PyPI
does not know this programming model. The function's log begins with a line that says so.
"""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coldpress.emulate.clients import client
from coldpress.emulate.http import HttpRequest
from coldpress.emulate.process import CLEAN
from coldpress.emulate.server import ServerProcess, free_port
from coldpress.errors import EmulateError

__all__ = ["AzureFunction"]

_WORKER = Path(__file__).with_name("_azure_worker.py")
_LEAST = "3.13"  # what the worker library asks for
_EMPTY = """import azure.functions as func

app = func.FunctionApp()


@app.route(route="{*path}")
def answer(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(b"{}")
"""


class AzureFunction(ServerProcess):
    """A started function app that answers HTTP requests, and runs functions with other triggers when told to."""

    EMPTY = MappingProxyType({"function_app.py": _EMPTY})

    def _begin(self, environment: dict[str, str]) -> float:
        early = int(self.minor[2:]) < int(_LEAST[2:])
        library = client("azure", self.python, _LEAST if early else None)
        port = free_port()
        variables = CLEAN | self._settings() | environment
        self._key = secrets.token_hex()  # the host's own; callers of the function do not know it
        command = [self.python, "-I", "-S", "-B", _WORKER, self.root, library, str(port), self._key]
        return self._serve(command, variables, port)

    def _settings(self) -> dict[str, str]:
        """Return the variables that the Functions host gives its worker."""
        return {
            "AzureWebJobsScriptRoot": str(self.root),
            "FUNCTIONS_EXTENSION_VERSION": "~4",
            "FUNCTIONS_WORKER_RUNTIME": "python",
            "FUNCTIONS_WORKER_RUNTIME_VERSION": self.minor,
            "WEBSITE_HOSTNAME": "function.azurewebsites.net",
            "WEBSITE_INSTANCE_ID": "local",
            "WEBSITE_SITE_NAME": "function",
        }

    def functions(self) -> dict[str, list[dict[str, Any]]]:
        """Return the bindings of each function, by name, as the worker indexed them."""
        for line in self.logs().splitlines():
            if line.startswith('{"functions"'):
                return {each["name"]: [*map(json.loads, each["bindings"])] for each in json.loads(line)["functions"]}
        raise EmulateError("The function app has not said what functions it holds; look at its log.")

    def trigger(self, function: str, data: bytes, metadata: Mapping[str, Any]) -> dict[str, bytes]:
        """Run a function that is no HTTP function; return what it gave its output bindings, by name.

        Args:
            function: its name.
            data: what its trigger binds, such as a blob's bytes.
            metadata: the trigger's, as the host gives them: texts, and values that travel as JSON.

        Raises:
            EmulateError: there is no such function, or it raised; then the host would try it again.
        """
        if function not in (known := self.functions()):
            raise EmulateError(f"The function app has no function {function}, only {', '.join(known)}.")
        document = {"data": base64.b64encode(data).decode(), "metadata": dict(metadata)}
        headers = {"x-functions-key": self._key}
        request = HttpRequest("POST", f"/admin/functions/{function}", headers, json.dumps(document).encode())
        reply = self.call(request).reply
        if reply.status != 200:
            raise EmulateError(f"The function {function} failed: {reply.body.decode()}")
        return {name: base64.b64decode(text) for name, text in json.loads(reply.body).items()}
