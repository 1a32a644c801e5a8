"""The digits example with two models: a small one in the function, a larger one at an endpoint, each a real process.

The function runs under Lambda's own runtime client, the endpoint under uvicorn, and the door between them is HTTP.
"""

import json
import shutil

import numpy as np
import onnx
import pytest

from coldpress.emulate.aws import LambdaFunction
from coldpress.emulate.http import HttpRequest
from coldpress.fallback.cascade import fit_threshold
from coldpress.gate.metrics import resolve_metric
from coldpress.reference import Reference
from tests.support.endpoint import fallback
from tests.support.endpoint_server import run_endpoint
from tests.support.packing import ROOT, coldpress, digits  # noqa: F401  (a fixture)
from tests.support.serving import write_function

EXAMPLE = ROOT / "examples" / "digits"
SIGNATURE = {
    "inputs": [{"name": "pixels", "datatype": "FP32", "shape": [None, 64]}],
    "outputs": [
        {"name": "label", "datatype": "INT64", "shape": [None]},
        {"name": "probabilities", "datatype": "FP32", "shape": [None, 10]},
    ],
}


class Example:
    """The data, what either model says by itself, and the threshold that was fitted on it."""

    def __init__(self, folder):
        samples = np.load(folder / "evaluation.npz")
        self.pixels, self.truth = samples["pixels"], samples["label"]
        self.small, self.large = (
            Reference(folder / name).run({"pixels": self.pixels}) for name in ("small.onnx", "model.onnx")
        )
        by_row = [
            [{name: value[i : i + 1] for name, value in answer.items()} for i in range(len(self.truth))]
            for answer in (self.small, self.large)
        ]
        self.cascade = fit_threshold(
            *by_row, self.truth, resolve_metric("accuracy", True), max_drop=0.02, max_escalated=0.5
        )
        self.doubtful = self.small["probabilities"].max(axis=1) < self.cascade.chosen.threshold
        self.labels = np.where(self.doubtful, self.large["label"], self.small["label"])

    def right(self, labels):
        return float(np.mean(np.asarray(labels) == self.truth))


@pytest.fixture(scope="module")
def example(digits):  # noqa: F811
    return Example(digits)


@pytest.fixture
def endpoint(tmp_path, digits):  # noqa: F811
    place = tmp_path / "models" / "digits" / "1"
    place.mkdir(parents=True)
    shutil.copy(digits / "model.onnx", place / "model.onnx")
    with run_endpoint(tmp_path / "models") as running:
        yield running


@pytest.fixture
def function(tmp_path, digits, endpoint):  # noqa: F811
    """Start a function of the small model that asks the endpoint by some rules."""
    started = []

    def start(*when, **changes):
        root = write_function(
            tmp_path / f"function-{len(started)}",
            onnx.load(digits / "small.onnx"),
            name="digits",
            fallback=fallback(endpoint.url, *when, **SIGNATURE),
            **changes,
        )
        running = LambdaFunction(root)
        started.append(running)
        return running.__enter__()

    yield start
    for running in started:
        running.__exit__(None, None, None)


def ask(function, pixels):
    body = json.dumps({"instances": [row.tolist() for row in pixels]}).encode()
    reply = function.call(HttpRequest("POST", "/predict", None, body)).reply
    assert reply.status == 200, reply.body
    return [each["label"] for each in json.loads(reply.body)["predictions"]], reply.headers


def marks(headers):
    return headers.get("coldpress-answered-by"), headers.get("coldpress-fallback")


def test_the_example_is_worth_a_cascade(example):
    """Else nothing below could fail."""
    alone, behind = example.right(example.small["label"]), example.right(example.large["label"])
    assert behind - alone > 0.03
    assert 0 < example.doubtful.mean() <= 0.5
    assert behind - example.right(example.labels) <= 0.02
    changed = example.small["label"] != example.large["label"]
    assert np.any(changed & example.doubtful)
    assert np.any(changed & ~example.doubtful)  # where it is sure, the small model is not overruled


def test_doubtful_digits_are_decided_by_the_large_model_and_sure_ones_here(example, function):
    running = function(example.cascade.rule)
    sure, doubtful = np.flatnonzero(~example.doubtful)[:3], np.flatnonzero(example.doubtful)[:3]
    labels, headers = ask(running, example.pixels[sure])
    assert labels == example.small["label"][sure].tolist()
    assert marks(headers) == ("function", None)
    labels, headers = ask(running, example.pixels[doubtful])
    assert labels == example.large["label"][doubtful].tolist()
    assert marks(headers) == ("endpoint", "confidence")


def test_rows_of_one_request_are_decided_one_by_one(example, function):
    labels, headers = ask(function(example.cascade.rule), example.pixels)
    assert labels == example.labels.tolist()
    assert marks(headers) == ("endpoint", "confidence")
    assert example.right(labels) > example.right(example.small["label"])


def test_the_endpoints_death_leaves_the_small_models_answers_marked(example, function, endpoint):
    running = function(example.cascade.rule)
    assert ask(running, example.pixels)[0] == example.labels.tolist()
    endpoint.process.kill()
    endpoint.process.wait()
    for _ in range(3):
        labels, headers = ask(running, example.pixels)
        assert labels == example.small["label"].tolist()
        answered_by, why = marks(headers)
        assert answered_by == "function"
        assert why.startswith("confidence; failed=")


@pytest.mark.models
def test_pack_fits_the_threshold_and_the_packed_function_asks_by_it(tmp_path, example, digits, endpoint):  # noqa: F811
    """The road of a user: the example's settings, one command, and the function that it made."""
    work = tmp_path / "work"
    shutil.copytree(digits, work)
    settings = (EXAMPLE / "cascade.toml").read_text()
    (work / "coldpress.toml").write_text(settings.replace("http://127.0.0.1:8080", endpoint.url))
    packed = coldpress("pack", "--out", "aws", "--json", cwd=work)
    assert packed.returncode == 0, packed.stderr
    told = json.loads(packed.stdout)["fallback"]
    assert told["when"] == [told["cascade"]["rule"], "error"]
    # The gate judges on samples that calibration has not seen, and the packed small model is not the trained one bit
    # for bit, so the threshold need not be the example's, but it is as good as that.
    assert told["cascade"]["verdict"] == "pass"
    assert told["cascade"]["large"] - told["cascade"]["chosen"]["metric"] <= 0.02
    assert told["price"]["function"] > 0
    page = (work / "aws" / "report.html").read_text()
    assert "From which confidence an answer stands" in page
    with LambdaFunction(work / "aws") as running:
        labels, headers = ask(running, example.pixels)
    assert marks(headers) == ("endpoint", "confidence")
    assert example.right(labels) >= example.right(example.large["label"]) - 0.02
    doubtful = example.small["probabilities"].max(axis=1) < told["cascade"]["chosen"]["threshold"]
    assert labels == np.where(doubtful, example.large["label"], example.small["label"]).tolist()


def test_a_large_request_goes_out_as_it_is(example, function):
    running = function("batch > 4")
    labels, headers = ask(running, example.pixels[:4])
    assert (labels, marks(headers)) == (example.small["label"][:4].tolist(), ("function", None))
    labels, headers = ask(running, example.pixels[:5])
    assert (labels, marks(headers)) == (example.large["label"][:5].tolist(), ("endpoint", "batch"))


def test_without_a_model_of_its_own_everything_is_answered_through_the_door(example, function, endpoint):
    running = function("does-not-fit", engine=None, model=None, warmup=None)
    labels, headers = ask(running, example.pixels)
    assert labels == example.large["label"].tolist()
    assert headers["coldpress-answered-by"] == "endpoint"
    metadata = running.call(HttpRequest("GET", "/v2/models/digits")).reply
    assert [each["name"] for each in json.loads(metadata.body)["inputs"]] == ["pixels"]
    endpoint.process.kill()
    endpoint.process.wait()
    body = json.dumps({"instances": [example.pixels[0].tolist()]}).encode()
    reply = running.call(HttpRequest("POST", "/predict", None, body)).reply
    assert reply.status in {502, 503, 504}
    assert json.loads(reply.body)["error"]
