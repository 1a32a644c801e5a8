"""How quickly a model comes from a store into memory, and how much memory that takes.

``measure`` makes a model of 200 MB in ORT format and puts it into stores on this machine: moto's S3; a plain server
that hands out a file by ``sendfile`` at the pace of a good network, 300 MB/s over eight connections; and the same
without a bound, as quick as the loopback interface, where the digest takes longest. In turns, it reads the same ranges
over the same connections into a buffer that is thrown away, and as a function does: into memory that the session uses,
with the digest. For the memory, fresh processes open the model, and a tiny one by the same road: the engine.
"""

import hashlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter, sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, save

from coldpress._resources import runtime_root
from coldpress_runtime.library import find_library
from coldpress_runtime.weights.read import open_source, read_weights
from coldpress_runtime.weights.stream import RANGE_BYTES
from tests.support.local_aws import ROOT, LocalAws

__all__ = ["measure"]

_LAYERS, _SIDE = 12, 2048  # 201 MB
_ROUNDS = 7
_PARTS = 8
_PACE = 37_500_000  # bytes a second, of one connection
_PIECE = 1 << 18
_OPEN = """
import sys
sys.path.insert(0, sys.argv[1])
from coldpress_runtime.opening import library_path, open_session
from coldpress_runtime.manifest import Manifest
from coldpress_runtime.tensor import Tensor
manifest = Manifest.load(sys.argv[2] + "/coldpress.json")
session, _ = open_session(sys.argv[2], manifest, library_path(sys.argv[2], manifest))
width = session.inputs[0].shape[1]
session.run({"x": Tensor.from_flat("FP32", (1, width), [0.5] * width)})
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


def measure(rounds: int = _ROUNDS) -> dict[str, Any]:
    """Return the figures: rates in 10^6 bytes a second, medians over ``rounds`` turns; memory in 10^6 bytes.

    ``share`` is what reading as a function does reaches of the plain rate, median over the turns; ``peak_ratio`` the
    peak beyond the engine's, over the size of the weights.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-weights-") as scratch:
        folder = Path(scratch)
        big, tiny = _model(folder / "big", _LAYERS, _SIDE), _model(folder / "tiny", 1, 8)
        engine, peak = (_peak_bytes(folder / name, file) for name, file in (("of-tiny", tiny), ("of-big", big)))
        size = big.stat().st_size
        content = big.read_bytes()
        with LocalAws() as aws:
            for path, body in (("/weights", b""), ("/weights/big.ort", content)):
                _put(aws.endpoint + path, body)
            environment = {name: value for name, value in aws.environment().items() if name.startswith("AWS_")}
            moto = _rates(environment, content, max(1, rounds // 2))
        with _server(big, _PACE) as endpoint:
            paced = _rates({**environment, "AWS_ENDPOINT_URL": endpoint}, content, rounds)
        with _server(big, 0) as endpoint:
            unbound = _rates({**environment, "AWS_ENDPOINT_URL": endpoint}, content, rounds)
    begun = perf_counter()
    hashlib.sha256(content).hexdigest()
    digest_mb_s = size / 1e6 / (perf_counter() - begun)
    return {
        "weights_mb": round(size / 1e6, 1),
        "parts": _PARTS,
        "cpus": os.cpu_count(),
        "moto": moto,
        "paced": paced,
        "sendfile": unbound,
        "digest_mb_s": round(digest_mb_s),
        "engine_mb": round(engine / 1e6, 1),
        "peak_mb": round(peak / 1e6, 1),
        "peak_ratio": round((peak - engine) / size, 3),
    }


def _rates(environment: dict[str, str], content: bytes, rounds: int) -> dict[str, Any]:
    size = len(content)
    weights = {"url": "s3://weights/big.ort", "bytes": size, "sha256": hashlib.sha256(content).hexdigest()}
    manifest: Any = SimpleNamespace(
        weights=SimpleNamespace(**weights, parts=_PARTS), function=SimpleNamespace(memory_mb=1024, timeout_s=900)
    )
    times = []
    for _ in range(rounds + 1):
        begun = perf_counter()
        _discard(environment, manifest.weights)
        middle = perf_counter()
        read_weights(manifest, environment)
        times.append((middle - begun, perf_counter() - middle))
    times = times[1:]  # the first warms the server up
    plain, ours = (statistics.median(side) for side in zip(*times, strict=True))
    return {
        "plain_mb_s": round(size / 1e6 / plain),
        "read_mb_s": round(size / 1e6 / ours),
        "share": round(statistics.median(one / other for one, other in times), 3),
        "rounds": rounds,
    }


def _discard(environment: dict[str, str], weights: Any) -> None:
    """Read every range into a buffer that the next one of the same thread overwrites."""
    source = open_source(weights.url, weights, environment)
    starts, lock = iter(range(0, weights.bytes, RANGE_BYTES)), threading.Lock()

    def work() -> None:
        reader, buffer = source.reader(), memoryview(bytearray(RANGE_BYTES))
        while True:
            with lock:
                start = next(starts, None)
            if start is None:
                return reader.close()
            reader.read(start, buffer[: weights.bytes - start])

    threads = [threading.Thread(target=work) for _ in range(_PARTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _peak_bytes(root: Path, file: Path) -> int:
    """Return the largest resident size of a fresh process that reads a model, opens it and runs it once."""
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (root / "lib").mkdir(parents=True)
    (root / "lib" / "libonnxruntime.so").symlink_to(find_library())
    model = {"path": "model/model.ort", "sha256": digest, "optimization": "disabled"}
    document = {
        "format": 1,
        "name": "weights",
        "version": "1",
        "engine": {"library": "lib/libonnxruntime.so", "version": "1", "sha256": "0" * 64},
        "model": {**model, "mapped": True, "prepacking": False, "cpu": []},
        "portable": None,
        "threads": 1,
        "warmup": {"inputs": [], "data": None},
        "hooks": None,
        "limits": {"request_bytes": 1, "response_bytes": 1},
        "function": {"memory_mb": 1024, "timeout_s": 900},
        "batch": None,
        "fallback": None,
        "weights": {"source": "mount", "url": str(file), "bytes": len(content), "sha256": digest, "parts": _PARTS},
    }
    (root / "coldpress.json").write_text(json.dumps(document))
    command = [sys.executable, "-S", "-E", "-c", _OPEN, str(runtime_root().parent), str(root)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _model(folder: Path, layers: int, side: int) -> Path:
    """Write a model of square layers in ORT format."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for layer in range(layers):
        matrix = rng.standard_normal((side, side), np.float32) / side**0.5
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [last, f"w{layer}"], [last := f"h{layer}"]))
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", side]) for name in ("x", last)]
    graph = helper.make_graph(nodes, "layers", ports[:1], ports[1:], weights)
    folder.mkdir()
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return folder / "model.ort"


def _put(url: str, body: bytes) -> None:
    scope = "testing/20260101/us-east-1/s3/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/octet-stream",
    }
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="PUT"), timeout=300):
        pass


@contextmanager
def _server(file: Path, pace: int) -> Iterator[str]:
    """Give the address of a server of one file, which sends ``pace`` bytes a second a connection; 0: all it can."""
    command = [sys.executable, "-m", "benchmarks.fallback.weights", str(file), str(pace)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()


def _serve(path: str, pace: int) -> None:
    """Hand out ranges of one file, whatever is asked for; print the port first."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    with open(path, "rb") as file:  # noqa: PTH123  (its descriptor is what counts)
        while True:
            threading.Thread(target=_answer, args=(listener.accept()[0], file.fileno(), pace), daemon=True).start()


def _answer(connection: socket.socket, file: int, pace: int) -> None:
    size, requests = os.fstat(file).st_size, connection.makefile("rb")
    first = last = 0
    while line := requests.readline():
        if found := re.match(rb"(?i)range: bytes=(\d+)-(\d+)", line):
            first, last = int(found[1]), int(found[2])
        if line != b"\r\n":
            continue
        head = f'HTTP/1.1 206 Partial Content\r\nETag: "one"\r\nContent-Length: {last - first + 1}\r\n'
        connection.sendall(f"{head}Content-Range: bytes {first}-{last}/{size}\r\n\r\n".encode())
        begun, start = perf_counter(), first
        while first <= last:
            first += os.sendfile(connection.fileno(), file, first, min(_PIECE if pace else last, last - first + 1))
            if pace:
                sleep(max(0.0, (first - start) / pace - (perf_counter() - begun)))


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
