"""Starts a function app under Microsoft's worker library, and hands it requests as the Functions host would.

Run as ``python -I -S -B _azure_worker.py TASK_ROOT CLIENT_DIR PORT KEY``: the app's folder first on the path, then what
the Python worker brings, nothing else. In Azure the host is a process of its own that talks gRPC to the worker's; here
the messages are the same (protobuf, as Microsoft compiled them) and are handed over directly. Who has KEY, the host's
own, may also run a function by its name.

From the host's source (azure-functions-host, ``GrpcMessageConversionExtensions``): names of headers in lower case, the
values of one name joined, the query's empty values dropped, the URL with its escapes normalised and its query as sent,
the body as bytes when there is one. Of answers (``RawScriptResult``): an empty content type is none, and a header
beyond ASCII fails.
"""

import sys

task_root, client, port, host_key = sys.argv[1:]
sys.path[:0] = [task_root, client]

# ruff: noqa: E402
import asyncio
import base64
import importlib
import json
import re
import types
import uuid
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import azure_functions_runtime as worker

_MESSAGES = "azure_functions_messages"
_PATH_SAFE = "/:@!$&'()*+,;=~-._"  # what ASP.NET's PathString leaves as it is
_ADMIN = "/admin/functions/"


def _messages() -> Any:
    """Load the messages of FunctionRpc.proto, without the gRPC client beside them."""
    package = sys.modules[_MESSAGES] = types.ModuleType(_MESSAGES)
    package.__path__ = [f"{client}/tests/protos"]
    messages = importlib.import_module(f"{_MESSAGES}.FunctionRpc_pb2")
    for name, message in vars(importlib.import_module(f"{_MESSAGES}.shared.NullableTypes_pb2")).items():
        if name.startswith("Nullable"):
            setattr(messages, name, message)
    return messages


class _Host:
    """What the Functions host does with a worker: start it, ask for its functions, send it invocations."""

    def __init__(self) -> None:
        self.messages = _messages()
        self.functions: dict[str, Any] = {}

    async def start(self) -> str:
        """Index the app; return an empty text, or why that failed."""
        m = self.messages
        worker.start_threadpool_executor()
        capabilities = {"RpcHttpBodyOnly": "true", "TypedDataCollection": "true"}
        init = m.WorkerInitRequest(
            host_version="4", function_app_directory=task_root, worker_directory=client, capabilities=capabilities
        )
        started = await worker.worker_init_request(self._wrap(m.StreamingMessage(worker_init_request=init)))
        if started.result.status != m.StatusResult.Success:
            return _why(started.result)
        found = await worker.functions_metadata_request(self._wrap(m.StreamingMessage()))
        for function in found.function_metadata_results:
            load = m.FunctionLoadRequest(function_id=function.function_id, metadata=function)
            loaded = await worker.function_load_request(self._wrap(m.StreamingMessage(function_load_request=load)))
            if loaded.result.status != m.StatusResult.Success:
                return _why(loaded.result)
            self.functions[function.name] = function
        return "" if self.functions else "the app has no functions"

    def _wrap(self, message: Any) -> Any:
        properties = {"host": "127.0.0.1", "protos": self.messages}
        return types.SimpleNamespace(request=message, properties=properties)

    async def invoke(self, function: Any, inputs: dict[str, Any], metadata: dict[str, Any]) -> Any:
        """Send one invocation and return the worker's InvocationResponse."""
        m = self.messages
        request = m.InvocationRequest(
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[m.ParameterBinding(name=name, data=data) for name, data in inputs.items()],
            trigger_metadata=metadata,
        )
        return await worker.invocation_request(self._wrap(m.StreamingMessage(invocation_request=request)))

    async def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> "_Reply":
        """Answer one HTTP request as the host would, from the function with the HTTP trigger."""
        m = self.messages
        function, trigger = next(
            (function, name)
            for function in self.functions.values()
            for name, binding in function.bindings.items()
            if binding.type == "httpTrigger"
        )
        path, _, query = target.partition("?")
        # Kestrel undoes all escapes but that of the slash, and the URL is made anew from what is left.
        pieces = [unquote_to_bytes(piece) for piece in re.split("%2F", path, flags=re.IGNORECASE)]
        path = "%2F".join(quote(piece, _PATH_SAFE) for piece in pieces)
        route = b"%2F".join(pieces).decode("utf-8", "replace").lstrip("/")
        url = f"http://{headers.get('host', 'localhost')}{path}" + (f"?{query}" if query else "")
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
            values.setdefault(name, []).append(value)
        http = m.RpcHttp(
            method=method,
            url=url,
            headers=headers,
            query={name: text for name, several in values.items() if (text := ",".join(several))},
            params={"path": route} if route else {},
        )
        if body:
            http.body.CopyFrom(m.TypedData(bytes=body))
        response = await self.invoke(function, {trigger: m.TypedData(http=http)}, {})
        if response.result.status != m.StatusResult.Success:
            print(_why(response.result), flush=True)  # noqa: T201  (the host's own log)
            return _Reply(500, {}, b"")  # nothing of an exception reaches the caller
        http = response.return_value.http
        if odd := [name for name, value in http.headers.items() if not value.isascii()]:
            print(f"Invalid non-ASCII or control character in header: {odd[0]}", flush=True)  # noqa: T201
            return _Reply(500, {}, b"")
        headers = {name: value for name, value in http.headers.items() if value or name.lower() != "content-type"}
        for cookie in http.cookies:  # one at most: the SDK allows no more
            headers["set-cookie"] = _cookie(cookie)
        return _Reply(int(http.status_code), headers, getattr(http.body, http.body.WhichOneof("data")))

    async def run(self, name: str, document: Any) -> "_Reply":
        """Run a function that has another trigger: its data, its metadata; the answer holds its outputs."""
        m = self.messages
        function = self.functions[name]
        trigger = next(name for name, binding in function.bindings.items() if binding.type.endswith("Trigger"))
        data = m.TypedData(bytes=base64.b64decode(document["data"]))
        metadata = {
            key: m.TypedData(string=value) if isinstance(value, str) else m.TypedData(json=json.dumps(value))
            for key, value in document["metadata"].items()
        }
        response = await self.invoke(function, {trigger: data}, metadata)
        if response.result.status != m.StatusResult.Success:
            return _Reply(500, {}, _why(response.result).encode())
        outputs = {output.name: base64.b64encode(_bytes(output.data)).decode() for output in response.output_data}
        return _Reply(200, {"content-type": "application/json"}, json.dumps(outputs).encode())


class _Reply(types.SimpleNamespace):
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        super().__init__(status=status, headers=headers, body=body)


def _cookie(cookie: Any) -> str:
    """Write a cookie as ASP.NET does; its lifetime is left out."""
    texts = [("domain", cookie.domain.value), ("path", cookie.path.value)]
    flags = [("secure", cookie.secure.value), ("httponly", cookie.http_only.value)]
    parts = [f"{name}={value}" for name, value in texts if value] + [name for name, value in flags if value]
    return "; ".join([f"{cookie.name}={cookie.value}", *parts])


def _bytes(data: Any) -> bytes:
    value = getattr(data, data.WhichOneof("data"))
    return value.encode() if isinstance(value, str) else value


def _why(result: Any) -> str:
    """Say what went wrong, without the worker's advice on requirements.txt and its list of folders."""
    return str(result.exception.message).partition(" Cannot find module. ")[0].strip()


async def _connection(host: _Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve HTTP/1.1 with known lengths, which is all that the caller of this file sends."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            break
        first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, target, _ = first.split(" ", 2)
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            key, value = name.lower(), value.strip()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if target.startswith(_ADMIN) and headers.get("x-functions-key") != host_key:
            reply = _Reply(401, {}, b"")
        elif target.startswith(_ADMIN):
            reply = await host.run(target.removeprefix(_ADMIN), json.loads(body))
        else:
            reply = await host.answer(method, target, headers, body)
        fields = {**reply.headers, "content-length": str(len(reply.body))}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"HTTP/1.1 {reply.status} -\r\n{text}\r\n".encode("latin-1") + reply.body)
        await writer.drain()
    writer.close()


async def _main() -> None:
    host = _Host()
    if why := await host.start():
        sys.exit(why)
    functions = [{"name": name, "bindings": list(function.raw_bindings)} for name, function in host.functions.items()]
    if sys.version_info < (3, 13):
        minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
        print(f"Azure's worker library is made for Python 3.13 and later; it runs under {minor} here.")  # noqa: T201
    print(json.dumps({"functions": functions}), flush=True)  # noqa: T201
    server = await asyncio.start_server(lambda *pair: _connection(host, *pair), "127.0.0.1", int(port), limit=1 << 20)
    await server.serve_forever()


asyncio.run(_main())
