"""A function whose model is at the endpoint alone: one contract for callers, and no engine in the bundle."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import coldpress_runtime
from tests.support.endpoint import Fault
from tests.support.http import ask, get

SURE = [0.9, 0.05, 0.05]
INFER = "/v2/models/tiny/infer"
HOOKS = """
def preprocess(request):
    return {"x": [[float(number) for number in request.body.split()]]}

def postprocess(outputs):
    return {"label": outputs["label"].tolist()[0]}
"""
POST = "def postprocess(outputs):\n    return outputs['label'].tolist()\n"


def post(service, path, document):
    return ask(service, "POST", path, json.dumps(document).encode(), content_type="application/json")


def test_every_answer_is_the_endpoints(remote, direct):
    service = remote()
    for path, document in (
        ("/predict", {"instances": [SURE]}),
        ("/predict", {"inputs": {"x": [SURE] * 3}}),
        (INFER, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": SURE}]}),
    ):
        response = post(service, path, document)
        assert response.status == 200
        assert response.headers["Coldpress-Answered-By"] == "endpoint"
        assert response.headers["Coldpress-Fallback"] == "does-not-fit"
        assert response.body == direct(path, document, content_type="application/json")


def test_what_is_wrong_with_a_body_the_endpoint_says(remote, direct):
    response = ask(remote(), "POST", "/predict", b"{", content_type="application/json")
    assert response.status == 400
    assert response.body == direct("/predict", b"{", content_type="application/json")


def test_limits_and_paths_are_the_functions(remote, endpoint):
    service = remote()
    assert ask(service, "POST", "/predict", b"x" * 6291457).status == 413
    assert ask(service, "GET", "/predict").status == 405
    assert ask(service, "POST", "/v2/models/other/infer").status == 404
    assert endpoint.asked == []


def test_metadata_is_the_manifests(remote, endpoint):
    service = remote()
    found = get(service, "/v2/models/tiny")
    assert found["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]
    assert [output["name"] for output in found["outputs"]] == ["label", "probabilities"]
    paths = get(service, "/openapi.json")["paths"]
    assert {"502", "503", "504"} < paths["/predict"]["post"]["responses"].keys()
    assert get(service, "/v2/health/ready") == {"ready": True}
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("hooks", "body", "expected"),
    [(HOOKS, b"0.9 0.05 0.05", {"label": 1}), (POST, b'{"instances":[[0.9,0.05,0.05]]}', [1])],
    ids=["both", "after"],
)
def test_hooks_run_here(remote, endpoint, hooks, body, expected):
    response = ask(remote(hooks=hooks), "POST", "/predict", body)
    assert json.loads(response.body) == expected
    assert [path for path, _, _ in endpoint.asked] == [INFER]


@pytest.mark.parametrize("waking", ["small", "queue", "refuse"])
@pytest.mark.parametrize(
    ("fault", "status", "word"),
    [
        (Fault(500), 502, "unreachable"),
        (Fault(503, {"Retry-After": "30"}), 503, "waking"),
        (Fault(200, body=b"[]"), 502, "answer"),
    ],
    ids=["500", "503", "garbage"],
)
def test_the_doors_own_errors_are_the_callers(remote, endpoint, waking, fault, status, word):
    endpoint.fault = fault
    response = post(remote(waking=waking, deadline_s=0.3, connect_s=0.3), "/predict", {"instances": [SURE]})
    assert response.status == status
    assert response.headers["Coldpress-Answered-By"] == "function"
    assert response.headers["Coldpress-Fallback"] == f"does-not-fit; failed={word}"
    assert ("Retry-After" in response.headers) == (word == "waking")
    assert json.loads(response.body)["error"]


def test_the_engine_is_not_even_looked_for(remote, endpoint):
    service = remote()
    root = Path(coldpress_runtime.__file__).parents[1]
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from coldpress_runtime.service import Service\n"
        "service = Service.open(sys.argv[2])\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, root, service._root], capture_output=True, text=True, check=True
    )
    assert {"http.client", "ssl", "numpy"} & set(done.stdout.split()) == set(), "nothing is connected at start"
