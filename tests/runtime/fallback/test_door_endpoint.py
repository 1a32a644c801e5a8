"""The door to the endpoint's own server, as its container runs it, by each kind that it stands behind."""

import json
import struct
from time import perf_counter

import numpy as np
import pytest

from coldpress_runtime.errors import DoorAnswerError, DoorError
from coldpress_runtime.fallback.door import Door, Question
from tests.support.endpoint_server import affine, expected, put_model, run_endpoint
from tests.support.tiny_endpoint import settings

ROWS = [[1.0, 2.0, 3.0, 4.0], [0.5, 0.25, 8.0, -1.0], [0.0, 0.0, 0.0, 0.0]]
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": ["rows", 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": ["rows", 3]}],
}
KINDS = ("http", "sagemaker", "azure-ml")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    with run_endpoint(folder) as running:
        yield running


@pytest.fixture(params=KINDS)
def door(request, server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    place = {"kind": request.param, "name": "affine", "region": "us-east-1"}
    environ = {"COLDPRESS_FALLBACK_URL": server.url, "AWS_ENDPOINT_URL": server.url}
    opened = Door(settings(endpoint=place, **SIGNATURE), environ)
    yield opened
    opened.close()


def ask(door, path, document, tail=b""):
    text = json.dumps(document).encode()
    headers = {"content-type": "application/json"}
    if tail:
        headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(text))}
    return door.ask(Question(path, headers, text + tail), perf_counter() + 20)


def test_tensors_in_json(door):
    item = {"name": "x", "datatype": "FP32", "shape": [3, 4], "data": [value for row in ROWS for value in row]}
    response = ask(door, "/v2/models/affine/infer", {"inputs": [item]})
    assert response.status == 200
    assert json.loads(response.body)["outputs"][0]["data"] == [value for row in expected(ROWS) for value in row]


def test_tensors_in_binary(door):
    tail = struct.pack("<12f", *(value for row in ROWS for value in row))
    item = {"name": "x", "datatype": "FP32", "shape": [3, 4], "parameters": {"binary_data_size": len(tail)}}
    response = ask(
        door, "/v2/models/affine/infer", {"inputs": [item], "parameters": {"binary_data_output": True}}, tail
    )
    assert response.headers["Content-Type"] == "application/octet-stream"
    length = int(response.headers["Inference-Header-Content-Length"])
    assert np.frombuffer(response.body[length:], "<f4").reshape(3, 3).tolist() == expected(ROWS)


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_plain_json(door, key):
    response = ask(door, "/predict", {key: ROWS if key == "instances" else {"x": ROWS}})
    document = json.loads(response.body)
    assert (document.get("predictions") or document["outputs"]["y"]) == expected(ROWS)


@pytest.mark.parametrize("door", ["http", "azure-ml"], indirect=True)
def test_wrong_inputs_are_the_callers_to_mend(door):
    """SageMaker stands between, and wraps what a container refuses; its own 400 is not the caller's."""
    response = ask(door, "/predict", {"instances": [[1.0, 2.0]]})
    assert response.status == 400
    assert "x" in json.loads(response.body)["error"]


@pytest.mark.parametrize("door", ["http"], indirect=True)
def test_an_unknown_model_is_nothing_that_the_caller_can_mend(door):
    item = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}
    with pytest.raises(DoorError, match="404"):
        ask(door, "/v2/models/another/infer", {"inputs": [item]})


@pytest.mark.parametrize("side", [{"shape": ["rows", 2]}, {"datatype": "FP64"}, {"name": "z"}])
def test_an_endpoint_that_serves_another_model_is_found_out(server, side):
    outputs = [SIGNATURE["outputs"][0] | side]
    door = Door(settings(server.url, **SIGNATURE | {"outputs": outputs}), {})
    item = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0]}
    with pytest.raises(DoorAnswerError, match="not that of this model"):
        ask(door, "/v2/models/affine/infer", {"inputs": [item]})
    door.close()
