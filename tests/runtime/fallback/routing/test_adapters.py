"""An endpoint behind a function of each provider: the same bodies as by itself, and a deadline that is known."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import coldpress_runtime
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.targets import TARGETS
from coldpress_runtime import alibaba_fc, aws_lambda
from tests.support.endpoint import fallback, small
from tests.support.functions import PYTHON, needs, write_function
from tests.support.tiny import write_bundle

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]
INFER = "/v2/models/tiny/infer"
TENSORS = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": UNSURE}]}
SECONDS = {"function": {"memory_mb": 1024, "timeout_s": 1000}}
LEFT = """
from time import perf_counter

def preprocess(request):
    global left
    left = request.ends - perf_counter()
    return {"x": [[0.9, 0.05, 0.05]]}

def postprocess(outputs):
    return {"left": left}
"""


@pytest.fixture(scope="module", params=[pytest.param(target, marks=needs(target)) for target in TARGETS])
def function(request, running, tmp_path_factory):
    """A function with a cascade, started as its provider does."""
    root = tmp_path_factory.mktemp(request.param) / "function"
    rules = fallback(running.url, "batch > 2", "confidence < 0.6", "shadow 0.000001%")
    write_function(root, request.param, small(), fallback=rules)
    with start(root, python=PYTHON) as started:
        yield started


def call(function, document, path="/predict", **headers):
    return function.call(HttpRequest("POST", path, headers, json.dumps(document).encode())).reply


def header(reply, name):
    return next((text for key, text in reply.headers.items() if key.lower() == name), None)


@pytest.mark.parametrize(
    ("path", "document", "rule"),
    [
        ("/predict", {"instances": [SURE] * 3}, "batch"),
        ("/predict", {"instances": [UNSURE]}, "confidence"),
        (INFER, TENSORS, "confidence"),
        (INFER, TENSORS | {"parameters": {"binary_data_output": True}}, "confidence"),
    ],
    ids=["batch", "all-rows", "json", "binary"],
)
def test_the_endpoints_answer_is_handed_through_byte_by_byte(function, direct, path, document, rule):
    reply = call(function, document, path)
    assert reply.status == 200
    assert reply.body == direct(path, document, content_type="application/json")
    assert header(reply, "coldpress-answered-by") == "endpoint"
    assert header(reply, "coldpress-fallback") == rule


def test_sure_rows_are_answered_by_the_function(function, endpoint):
    reply = call(function, {"instances": [SURE]})
    assert (reply.status, header(reply, "coldpress-answered-by")) == (200, "function")
    assert header(reply, "coldpress-fallback") is None
    assert endpoint.asked == []


def test_rows_of_both_models_make_one_answer(function):
    reply = call(function, {"instances": [SURE, UNSURE]})
    assert [row["label"] for row in json.loads(reply.body)["predictions"]] == [0, 1]


def test_a_job_is_looked_for_beyond_the_model(function):
    reply = function.call(HttpRequest("GET", "/v2/jobs/7")).reply
    assert reply.status == 404
    assert "jobs" in json.loads(reply.body)["error"]


@pytest.mark.parametrize("target", [pytest.param(target, marks=needs(target)) for target in TARGETS])
def test_the_time_that_is_left_is_known(target, tmp_path):
    root = write_function(tmp_path / "function", target, small(), LEFT, **SECONDS)
    with start(root, python=PYTHON, timeout_s=1000) as function:
        left = json.loads(call(function, {}).body)["left"]
    assert 900 < left <= 999.5


def test_lambda_says_itself_what_is_left(tmp_path):
    handler = aws_lambda.make_handler(str(write_bundle(tmp_path / "b", small(), LEFT)))
    context = SimpleNamespace(aws_request_id="1", get_remaining_time_in_millis=lambda: 5_000_000)
    assert 4900 < handler({"anything": 1}, context)["left"] <= 4999.5


def test_function_compute_says_itself_what_it_may_take(tmp_path):
    handler = alibaba_fc.make_handler(str(write_bundle(tmp_path / "b", small(), LEFT)))
    context = SimpleNamespace(request_id="1", function=SimpleNamespace(timeout=5000))
    assert 4900 < handler(b'{"anything": 1}', context)["left"] <= 4999.5


def fresh(code, bundle):
    """Run code in a fresh process, with ``handler`` and ``sys`` at hand; returns what it wrote."""
    head = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from coldpress_runtime.aws_lambda import make_handler\n"
        "handler = make_handler(sys.argv[2])\n"
    )
    root = Path(coldpress_runtime.__file__).parents[1]
    command = [sys.executable, "-I", "-S", "-c", head + code, root, bundle]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_a_direct_call_goes_out_too_and_a_log_line_tells_who_answered(tmp_path, endpoint):
    bundle = write_bundle(tmp_path / "b", small(), fallback=fallback(endpoint.url, "batch > 0"))
    done = fresh("assert 'predictions' in handler({'instances': [[0.4, 0.3, 0.3]]}, None)", bundle)
    log, _, record = map(json.loads, done.stdout.splitlines())
    assert (log["answered_by"], log["fallback"]) == ("endpoint", "batch")
    assert record["Fallbacks"] == 1


def test_a_function_without_an_endpoint_loads_nothing_of_it(tmp_path):
    code = (
        "assert 'predictions' in handler({'instances': [[0.4, 0.3, 0.3]]}, None)\n"
        "print(*(name for name in sys.modules if 'fallback' in name), file=sys.stderr)\n"
    )
    assert fresh(code, write_bundle(tmp_path / "b", small())).stderr.strip() == ""
