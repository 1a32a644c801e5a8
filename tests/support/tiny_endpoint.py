"""A real HTTP server with a model that anybody can check: ``y`` is the sum of a row of ``x``, and twice that sum.

It speaks the Open Inference Protocol, in JSON and binary, and plain JSON, and answers with what it was asked and
nothing else, so that an answer to another question shows.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from coldpress_runtime.fallback.door import Question
from coldpress_runtime.fallback.settings import Fallback

__all__ = ["MODEL", "TinyEndpoint", "binary_question", "expected", "plain_question", "question", "settings"]

MODEL = "sums"
_HEADER = "Inference-Header-Content-Length"


def expected(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """What the model answers."""
    return [[sum(row), 2 * sum(row)] for row in rows]


def settings(url: str = "", **changes: Any) -> Fallback:
    """Return settings of a door to this endpoint; ``changes`` by name, those of ``endpoint`` and ``breaker`` merged."""
    document: dict[str, Any] = {
        "endpoint": {"kind": "http", "url": url, "name": "", "region": "", "auth": "none", "audience": "", "output": "",
                     "allow_private": True},
        "when": ["error"], "deadline_s": 20.0, "connect_s": 5.0, "retries": 0, "hedge_after_s": None, "concurrency": 8,
        "answer_bytes": 1 << 20, "breaker": {"failures": 5, "window_s": 30.0, "open_s": 60.0}, "waking": "small",
        "output": None,
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["n", 3]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": ["n", 2]}],
    }  # fmt: skip
    for name, value in changes.items():
        document[name] = document[name] | value if isinstance(document[name], dict) else value
    return Fallback.read(document, "fallback")


def question(rows: Sequence[Sequence[float]], **headers: str) -> Question:
    """Ask in the protocol's JSON."""
    item = {"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "data": [value for row in rows for value in row]}
    return Question(
        f"/v2/models/{MODEL}/infer",
        {"content-type": "application/json"} | headers,
        json.dumps({"inputs": [item]}).encode(),
    )


def binary_question(rows: Sequence[Sequence[float]]) -> Question:
    """Ask in the protocol's binary form, for an answer in the same."""
    data = struct.pack(f"<{3 * len(rows)}f", *(value for row in rows for value in row))
    item = {"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [item], "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", _HEADER.lower(): str(len(text))}
    return Question(f"/v2/models/{MODEL}/infer", headers, text + data)


def plain_question(document: Any) -> Question:
    """Ask in plain JSON."""
    return Question("/predict", {"content-type": "application/json"}, json.dumps(document).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        if self.path == "/v2/health/ready":
            self._send(200 if self.server.ready else 503, b'{"ready":true}')
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        split = self.headers.get(_HEADER)
        document = json.loads(body[: int(split)] if split else body)
        if self.path == "/predict":
            self._send(200, json.dumps(_predict(document)).encode())
            return
        item = document["inputs"][0]
        if item["shape"][1] != 3:
            self._send(400, b'{"error":"Input \'x\' has another shape."}')
            return
        values = list(struct.unpack(f"<{len(body[int(split) :]) // 4}f", body[int(split) :])) if split else item["data"]
        sums = expected([values[place : place + 3] for place in range(0, len(values), 3)])
        output: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": [len(sums), 2]}
        flat = [value for row in sums for value in row]
        if document.get("parameters", {}).get("binary_data_output"):
            data = struct.pack(f"<{len(flat)}f", *flat)
            output["parameters"] = {"binary_data_size": len(data)}
            text = json.dumps({"model_name": MODEL, "outputs": [output]}).encode()
            self._send(200, text + data, {_HEADER: str(len(text)), "Content-Type": "application/octet-stream"})
        else:
            output["data"] = flat
            self._send(200, json.dumps({"model_name": MODEL, "outputs": [output]}).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _predict(document: Any) -> Any:
    if "instances" in document:
        return {"predictions": expected(document["instances"])}
    return {"outputs": {"y": expected(document["inputs"]["x"])}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    ready = True


class TinyEndpoint:
    """A running server. Use as a context manager."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.address: tuple[str, int] = ("127.0.0.1", self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def be_ready(self, ready: bool) -> None:
        """Say at ``/v2/health/ready`` whether it is."""
        self._server.ready = ready

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
