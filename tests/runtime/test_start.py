"""What starting loads: a fresh process, without site-packages."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import coldpress_runtime
from coldpress_runtime.library import find_library
from tests.support.build import build, tensor

# Each costs a cold start milliseconds, and the engine needs none of them.
HEAVY = {
    "array",
    "collections",
    "collections.abc",
    "ctypes.util",
    "dataclasses",
    "enum",
    "functools",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "mmap",
    "numpy",
    "onnx",
    "onnxruntime",
    "pathlib",
    "re",
    "tempfile",
    "threading",
    "typing",
}
OURS = {*sys.stdlib_module_names, "coldpress_runtime", "__main__"}
SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1]]
from coldpress_runtime.ort import Session
from coldpress_runtime.tensor import Tensor
with Session(sys.argv[2], library=sys.argv[3]) as session:
    x = Tensor("FP32", (2,), bytes([0, 0, 128, 63, 0, 0, 0, 64]))
    found = session.run({"x": x})["y"].tolist()
print(found)
print("\\n".join(sys.modules))
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    from onnx import helper

    path = tmp_path_factory.mktemp("model") / "m.onnx"
    model = build([helper.make_node("Neg", ["x"], ["y"])], {"x": tensor(1)}, {"y": tensor(1)})
    path.write_bytes(model.SerializeToString())
    root = Path(coldpress_runtime.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SCRIPT, root, path, find_library()],
        capture_output=True,
        text=True,
        check=True,
    )
    answer, *names = done.stdout.split("\n")
    assert json.loads(answer) == [-1.0, -2.0]
    assert done.stderr == ""
    return {name for name in names if name}


def test_opening_and_running_a_model_loads_the_standard_library_alone(modules):
    assert {name for name in modules if name.partition(".")[0] not in OURS} == set()


def test_opening_and_running_a_model_loads_nothing_heavy(modules):
    # What ctypes itself brings is the interpreter's business: since Python 3.14 that includes threading.
    code = "import ctypes, sys; print(*sys.modules)"
    brought = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert modules & HEAVY <= set(brought.stdout.split())
