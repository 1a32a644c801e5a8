"""What each adapter loads to start, beyond what its provider's own runtime has loaded: a fresh process for each."""

import subprocess
import sys

import pytest

from coldpress.emulate.clients import client, python_minor
from coldpress.targets import TARGETS
from tests.support.functions import PYTHON, needs, write_function

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux")

# What is there before a function's own code: whatever it is, an empty function pays for it too.
RUNTIMES = {
    "aws": "import awslambdaric.bootstrap",
    "gcp": "import functions_framework._http.gunicorn, gunicorn.workers.gthread",
    "azure": "import azure_functions_runtime, azure.functions",
    "alibaba": "import importlib, json, os, socket, site",
    "container": "import uvicorn.main, uvicorn.loops.asyncio, uvicorn.protocols.http.httptools_impl",
}
# Loading a model and answering: a module more is a millisecond more, and must be worth it.
CORE = {
    "binary", "capi", "errors", "http", "json_tensors", "json_text", "library", "manifest", "opening", "ort",
    "plain_json", "protocol", "record", "refusals", "refused", "service", "signature", "telemetry", "tensor", "values",
    "warmup",
}  # fmt: skip
OWN = {
    "aws": {"aws_lambda", "aws_events", "events"},
    "gcp": {"cloud_functions"},
    "azure": {"azure_functions"},
    "alibaba": {"alibaba_fc", "events"},
    "container": {"asgi", "asgi_messages", "offload"},
}
STANDARD = {"__future__", "binascii", "ctypes", "struct"}
# Cloud Run's server imports the function and forks: the child opens the bundle.
SCRIPT = """
import os, sys
sys.path[:0] = sys.argv[3:]
exec(sys.argv[1])
before = set(sys.modules)
__import__(sys.argv[2])
if sys.argv[2] != "main" or not os.fork():
    print(*sys.modules.keys() - before, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.fixture(scope="module", params=[pytest.param(target, marks=needs(target)) for target in TARGETS])
def loaded(request, tmp_path_factory):
    """The target, and the modules that its entry point loads."""
    target = request.param
    root = write_function(tmp_path_factory.mktemp(target) / "function", target, "mlp")
    minor = max(python_minor(PYTHON), "3.13") if target == "azure" else None  # its library is for 3.13 and later
    packages = [client(target, PYTHON, minor)] if target in {"aws", "gcp", "azure"} else []
    entry = TARGETS[target].entry.removesuffix(".py")
    command = [PYTHON, "-I", "-S", "-B", "-c", SCRIPT, RUNTIMES[target], entry, root, *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return target, set(done.stdout.split()) - {entry}


def test_an_adapter_loads_the_service_and_itself_and_no_other_module_of_the_runtime(loaded):
    target, modules = loaded
    ours = {name.rpartition(".")[2] for name in modules if name.startswith("coldpress_runtime.")}
    assert ours == CORE | OWN[target]


def test_an_adapter_loads_no_package_and_little_of_the_standard_library(loaded):
    _, modules = loaded
    names = " ".join(sorted(STANDARD))
    code = f"import sys\nfor name in '{names}'.split():\n __import__(name)\nprint(*sys.modules)"
    brought = subprocess.run([PYTHON, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert {name for name in modules if name.partition(".")[0] != "coldpress_runtime"} <= set(brought.stdout.split())
