"""An endpoint as a function sees it: another bundle behind HTTP, which can be told to fail, and two models by row."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import uvicorn
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.asgi import make_app
from tests.support.tiny import write_bundle

__all__ = ["Endpoint", "Fault", "fallback", "large", "serve_endpoint", "serving", "small"]

_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
CLASSES = 3


def _classifier(nodes, *more: Any) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [*nodes, helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0)],
        "classifier",
        [value("x", T.FLOAT, ["batch", CLASSES])],
        [value("label", T.INT64, ["batch"]), value("probabilities", T.FLOAT, ["batch", CLASSES]), *more],
        [onnx.numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=8)
    onnx.checker.check_model(model)
    return model


def small() -> onnx.ModelProto:
    """A classifier whose probabilities are its input, so that a test says how sure it is of each row."""
    return _classifier([helper.make_node("Identity", ["x"], ["probabilities"])])


def large() -> onnx.ModelProto:
    """A classifier of the same signature that says the opposite: ``1 - x``."""
    return _classifier([helper.make_node("Sub", ["one", "x"], ["probabilities"])])


@dataclass
class Fault:
    """What an endpoint answers in place of its model; ``waits`` holds the answer back until it is set."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error":"out of order"}'
    waits: threading.Event | None = None


@dataclass
class Endpoint:
    """A running endpoint: its URL, what it was asked, and what it shall do instead of answering.

    Attributes:
        url: of its root.
        asked: the path, the headers and the body of each POST, in the order of their arrival.
        fault: for every POST while it is there.
    """

    url: str = ""
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    fault: Fault | None = None

    async def wrap(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Call an ASGI application, unless the answer is to be a fault; POSTs are kept."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked.append((scope["path"], {name.decode(): text.decode() for name, text in scope["headers"]}, body))

        async def again() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        fault = self.fault
        if fault is None:
            await app(scope, again, send)
            return
        if fault.waits is not None:
            import asyncio

            await asyncio.get_running_loop().run_in_executor(None, fault.waits.wait)
        headers = {"content-type": "application/json", "content-length": str(len(fault.body))} | fault.headers
        pairs = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": fault.status, "headers": pairs})
        await send({"type": "http.response.body", "body": fault.body})


@contextlib.contextmanager
def serve_endpoint(root: Path, model: str | onnx.ModelProto, **changes: Any) -> Iterator[Endpoint]:
    """Serve a bundle of its own, written to ``root``, with uvicorn on a free port."""
    app = make_app(str(write_bundle(root, model, **changes)))
    endpoint = Endpoint()

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        await endpoint.wrap(app, scope, receive, send)

    with _run(wrapped) as endpoint.url:
        try:
            yield endpoint
        finally:
            if endpoint.fault is not None and endpoint.fault.waits is not None:
                endpoint.fault.waits.set()


@contextlib.contextmanager
def serving(root: str) -> Iterator[str]:
    """Serve a bundle as a container does; yields its URL."""
    with _run(make_app(root)) as url:
        yield url


@contextlib.contextmanager
def _run(app: Any) -> Iterator[str]:
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", ws="none", loop="asyncio")
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def fallback(url: str = "https://endpoint.example", *when: str, **changes: Any) -> dict[str, Any]:
    """``fallback`` of a manifest around :func:`small`; ``changes`` replace its keys and those of ``endpoint``."""
    endpoint = {
        "kind": "http",
        "url": url,
        "name": "",
        "region": "",
        "auth": "none",
        "audience": "",
        "output": "",
        "allow_private": True,
    }
    document = {
        "endpoint": endpoint,
        "when": list(when) or ["error"],
        "deadline_s": 20.0,
        "connect_s": 2.0,
        "retries": 0,
        "hedge_after_s": None,
        "concurrency": 8,
        "answer_bytes": 6291456,
        "breaker": {"failures": 1000, "window_s": 30.0, "open_s": 10.0},
        "waking": "small",
        "output": None,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["batch", CLASSES]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": ["batch"]},
            {"name": "probabilities", "datatype": "FP32", "shape": ["batch", CLASSES]},
        ],
    }
    known = {name: changes.pop(name) for name in list(changes) if name in endpoint and name not in document}
    return document | changes | {"endpoint": endpoint | known | changes.get("endpoint", {})}
