"""The endpoint's server as its container starts it, on free ports, with models that anybody can check."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto as T
from onnx import helper

__all__ = ["EndpointServer", "affine", "expected", "put_model", "run_endpoint", "slow", "two_inputs"]

HANDLERS = Path(__file__).parents[2] / "handlers"
_OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
_value = helper.make_tensor_value_info
_WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8


def _model(nodes, inputs, outputs, constants=()) -> onnx.ModelProto:
    constants = [onnx.numpy_helper.from_array(np.asarray(each), name) for name, each in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=_OPSETS, ir_version=8)
    onnx.checker.check_model(model)
    return model


def affine(shift: float = 0.5) -> onnx.ModelProto:
    """``y = x @ w + shift``, for rows of four numbers, in numbers that FP32 holds exactly: three scores a row."""
    return _model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        [_value("x", T.FLOAT, ["rows", 4])],
        [_value("y", T.FLOAT, ["rows", 3])],
        {"w": _WEIGHTS, "b": np.full(3, shift, np.float32)},
    )


def expected(rows: Any, shift: float = 0.5) -> list[list[float]]:
    """What :func:`affine` answers."""
    return (np.asarray(rows, np.float32) @ _WEIGHTS + np.float32(shift)).tolist()


def two_inputs() -> onnx.ModelProto:
    """``total = number + count`` and ``text = word``: two types of numbers, and text, row by row."""
    return _model(
        [
            helper.make_node("Cast", ["count"], ["c"], to=T.FLOAT),
            helper.make_node("Add", ["number", "c"], ["total"]),
            helper.make_node("Identity", ["word"], ["text"]),
        ],
        [_value("number", T.FLOAT, ["n", 1]), _value("count", T.INT64, ["n", 1]), _value("word", T.STRING, ["n"])],
        [_value("total", T.FLOAT, ["n", 1]), _value("text", T.STRING, ["n"])],
    )


def slow() -> onnx.ModelProto:
    """``y = x + rounds``, reached in so many rounds of matrices: as long as its caller likes."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["m", "m"], ["square"]),
            helper.make_node("Tanh", ["square"], ["next"]),
            helper.make_node("Add", ["sum", "one"], ["more"]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "round",
        [
            _value("i", T.INT64, []),
            _value("go", T.BOOL, []),
            _value("m", T.FLOAT, [96, 96]),
            _value("sum", T.FLOAT, [1]),
        ],
        [_value("on", T.BOOL, []), _value("next", T.FLOAT, [96, 96]), _value("more", T.FLOAT, [1])],
    )
    return _model(
        [
            helper.make_node("Squeeze", ["rounds"], ["count"]),
            helper.make_node("Loop", ["count", "", "start", "x"], ["last", "y"], body=body),
        ],
        [_value("x", T.FLOAT, [1]), _value("rounds", T.INT64, [1])],
        [_value("y", T.FLOAT, [1]), _value("last", T.FLOAT, [96, 96])],
        {"start": np.eye(96, dtype=np.float32), "one": np.ones(1, np.float32)},
    )


def put_model(folder: Path, name: str, version: str, model: onnx.ModelProto) -> None:
    """Write a version of a model to where the server looks for it."""
    place = folder / name / version
    place.mkdir(parents=True)
    onnx.save(model, place / "model.onnx")


@dataclass(frozen=True)
class EndpointServer:
    """A running server: its ports, the process, and the lines that ``reader`` takes from its log since it answers."""

    port: int
    grpc_port: int
    process: subprocess.Popen
    log: list[str] = field(repr=False)
    reader: threading.Thread = field(repr=False)

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://127.0.0.1:{self.port}"

    def end(self) -> tuple[int, str]:
        """Wait until it has gone; returns its exit status, and what it has written since it answers."""
        status = self.process.wait(60)
        self.reader.join()
        return status, "".join(self.log)

    def ask(self, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Send a request as it is, a document as JSON; returns the status, the headers in lower case and the body."""
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            names.setdefault("content-type", "application/json")
        elif method != "GET":
            names.setdefault("content-type", "")  # urllib would call it a form
        request = urllib.request.Request(self.url + path, body if method != "GET" else None, names, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()

    def json(self, method: str, path: str, body: Any = b"", **headers: str) -> tuple[int, Any]:
        """Send a request; returns the status and the answer's document."""
        status, _, text = self.ask(method, path, body, **headers)
        return status, json.loads(text)


@contextlib.contextmanager
def run_endpoint(folder: Path, **environ: str) -> Iterator[EndpointServer]:
    """Run ``python -m coldpress_endpoint`` on the models of ``folder`` until the context ends."""
    settings = {
        "COLDPRESS_MODELS": str(folder),
        "COLDPRESS_HOST": "127.0.0.1",
        "COLDPRESS_PORT": "0",
        "COLDPRESS_GRPC_PORT": "0",
        "COLDPRESS_PROVIDERS": "cpu",
        "COLDPRESS_THREADS": "2",
        "COLDPRESS_DRAIN_S": "5",
        "PYTHONPATH": str(HANDLERS),
        "GRPC_VERBOSITY": "NONE",
    }
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("COLDPRESS_", "AIP_"))}
    inherited.pop("PORT", None)
    with subprocess.Popen(
        [sys.executable, "-m", "coldpress_endpoint"],
        env=inherited | settings | environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        said, log, reader = "", [], None
        try:
            for line in process.stderr:
                said += line
                found = re.search(r"HTTP at port (\d+), gRPC at port (\d+)", line)
                if found:
                    break
            else:
                raise RuntimeError(said)
            # A server that waits for somebody to read its log answers nobody.
            reader = threading.Thread(target=lambda: log.extend(process.stderr), daemon=True)
            reader.start()
            yield EndpointServer(int(found[1]), int(found[2]), process, log, reader)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGTERM)  # the second: at once
            process.wait(60)
            if reader is not None:
                reader.join()
