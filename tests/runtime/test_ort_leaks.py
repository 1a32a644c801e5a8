"""Memory after many runs. `COLDPRESS_LEAK_RUNS=100000 pytest tests/runtime/test_ort_leaks.py` looks longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import coldpress_runtime

RUNS = int(os.environ.get("COLDPRESS_LEAK_RUNS", "3000"))
# A fresh process each, for only there does the resident size say something. `step` is what must not leak.
SCRIPT = """
import gc, sys
import numpy as np
from onnx import TensorProto as T, helper
from coldpress_runtime.errors import EngineError, RequestError
from coldpress_runtime.ort import Session, SessionOptions
from coldpress_runtime.tensor import Tensor
from tests.support import models
from tests.support.build import build, tensor

def identity(kind, opset=18):
    node = helper.make_node("Identity", ["x"], ["y"])
    return build([node], {"x": kind}, {"y": kind}, opset=opset).SerializeToString()

def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

SETUP
runs = int(sys.argv[1])
for _ in range(runs // 5):
    step()
before = resident()
for _ in range(runs):
    step()
print((resident() - before) / runs)
"""
SETUPS = {
    "small": """
session = Session(identity(tensor(T.FLOAT)))
x = Tensor.from_flat("FP32", (4,), [1.0] * 4)
def step(): session.run({"x": x})
""",
    "borrowed output": """
session = Session(identity(tensor(T.FLOAT)))
x = Tensor.from_numpy(np.ones(50_000, np.float32))
def step(): session.run({"x": x})["y"].numpy()
""",
    "misaligned input": """
session = Session(identity(tensor(T.FLOAT)))
x = Tensor("FP32", (4000,), memoryview(bytes(16001))[1:])
def step(): session.run({"x": x})
""",
    "ever new shapes": """
import itertools
session = Session(identity(tensor(T.FLOAT, None)))
count = itertools.count()
def step():
    place = next(count)
    session.run({"x": Tensor("FP32", (place % 50 + 1, place, 0), b"")})
""",
    "strings": """
session = Session(identity(tensor(T.STRING)))
x = Tensor("BYTES", (3,), ["a" * 100, "é" * 300, ""])
def step(): session.run({"x": x})
""",
    "sequence of maps": """
session = Session(str(models.fetch("digits_rf_zipmap")))
x = Tensor.from_numpy(models.feeds("digits_rf_zipmap")["X"])
def step(): session.run({"X": x})
""",
    "sequences, empty ones too": """
kind = helper.make_sequence_type_proto(tensor(T.FLOAT, None))
session = Session(identity(kind))
x = Tensor.from_flat("FP32", (400,), [1.0] * 400)
def step():
    session.run({"x": [x, x]})
    session.run({"x": []})
""",
    "map input": """
node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b"])
kind = helper.make_map_type_proto(T.STRING, tensor(T.FLOAT, ()))
session = Session(build([node], {"x": kind}, {"y": tensor(T.FLOAT, (1, 2))}).SerializeToString())
def step(): session.run({"x": {"a": 1.0, "b": 2.0}})
""",
    "empty optional": """
kind = helper.make_optional_type_proto(tensor(T.FLOAT, ["n"]))
session = Session(identity(kind, 16))
def step(): session.run({"x": None})
""",
    "refused runs": """
session = Session(identity(tensor(T.FLOAT, (4,))))
x = Tensor.from_flat("FP32", (5,), [1.0] * 5)
def step():
    for inputs in ({"x": x}, {}, {"no": x}, {"x": [x]}):
        try:
            session.run(inputs)
        except RequestError:
            continue
        raise AssertionError
""",
    "sessions": """
model = identity(tensor(T.FLOAT))
x = Tensor.from_flat("FP32", (4,), [1.0] * 4)
def step():
    with Session(model) as session:
        session.run({"x": x})
        session.metadata
""",
    "models that do not open": """
model = identity(tensor(T.FLOAT))[:-20]
def step():
    try:
        Session(model)
    except EngineError:
        return
    raise AssertionError
""",
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to read the resident size from")
@pytest.mark.parametrize("setup", [pytest.param(text, id=name) for name, text in SETUPS.items()])
def test_nothing_grows(setup):
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root), str(Path(coldpress_runtime.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("SETUP", setup), str(RUNS)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=max(280, RUNS / 50),
    )
    assert done.returncode == 0, done.stderr
    # The allocator wanders by up to a megabyte once; a leak, 16 bytes at least, grows with every run.
    assert float(done.stdout) < 15 + 120_000 / RUNS, f"{done.stdout.strip()} bytes a run"
