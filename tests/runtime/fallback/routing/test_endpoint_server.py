"""A function before the endpoint's own server: what a caller gets is what the server says, and its refusals too."""

import json

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.service import Service
from tests.support.endpoint import fallback, large, small
from tests.support.endpoint_server import put_model, run_endpoint
from tests.support.http import ask
from tests.support.tiny import MODELS, write_bundle

SURE, UNSURE = [0.9, 0.05, 0.05], [0.4, 0.3, 0.3]
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "tiny", "7", large())
    put_model(folder, "zipmap", "1", MODELS["zipmap"]())
    with run_endpoint(folder, COLDPRESS_MODEL="tiny") as running:
        yield running


@pytest.fixture
def make(tmp_path, server):
    services = []

    def make(model, *when, **changes):
        name = changes.pop("name", "tiny")
        document = fallback(server.url, *when, **changes)
        root = tmp_path / f"b{len(services)}"
        services.append(Service.open(str(write_bundle(root, model, name=name, fallback=document))))
        return services[-1]

    yield make
    for service in services:
        service.close()


def tensors(*rows, **more):
    data = [number for row in rows for number in row]
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [len(rows), 3], "data": data}], **more}


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/predict", {"instances": [SURE, UNSURE]}),
        ("/predict", {"inputs": {"x": [SURE, UNSURE]}}),
        (INFER, tensors(SURE, UNSURE, id="a")),
        (INFER, tensors(SURE, UNSURE, parameters={"binary_data_output": True})),
        (INFER, tensors(SURE, outputs=[{"name": "label"}])),
    ],
    ids=["instances", "inputs", "json", "binary", "one-output"],
)
def test_a_request_that_goes_out_is_answered_as_by_the_server(make, server, path, document):
    response = ask(make(small(), "batch > 0"), "POST", path, json.dumps(document).encode())
    status, headers, body = server.ask("POST", path, document)
    assert response.headers["Coldpress-Answered-By"] == "endpoint"
    assert (response.status, response.body) == (status, body) == (200, body)
    length = headers.get("inference-header-content-length")
    assert response.headers.get("Inference-Header-Content-Length") == length


def test_doubtful_rows_are_the_servers(make, server):
    rows = [SURE, UNSURE, SURE, [0.5, 0.25, 0.25]]
    response = ask(make(small(), "confidence < 0.6"), "POST", "/predict", json.dumps({"inputs": {"x": rows}}).encode())
    found = json.loads(response.body)["outputs"]
    theirs = server.json("POST", "/predict", {"inputs": {"x": rows}})[1]["outputs"]
    assert found["label"] == [0, 1, 0, 1]
    for row in (1, 3):  # the server writes the shortest text of a float32, the function that of a float64
        assert np.float32(found["probabilities"][row]).tobytes() == np.float32(theirs["probabilities"][row]).tobytes()
    assert response.headers["Coldpress-Fallback"] == "confidence"


def test_maps_of_classes_come_back_row_by_row(make):
    inputs = [{"name": "scores", "datatype": "FP32", "shape": ["n", 2]}]
    outputs = [{"name": "raw", "datatype": "FP32", "shape": ["n", 2]},
               {"name": "by_class", "datatype": "BYTES", "shape": ["n"]}]  # fmt: skip
    service = make("zipmap", "confidence < 0.6", name="zipmap", inputs=inputs, outputs=outputs)
    body = json.dumps({"inputs": {"scores": [[1.0, 0.0], [0.5, 0.5]]}}).encode()
    response = ask(service, "POST", "/predict", body)
    assert (response.status, response.headers["Coldpress-Fallback"]) == (200, "confidence")
    assert response.marks.rows == 1
    assert json.loads(response.body)["outputs"] == {
        "raw": [[1.0, 0.0], [0.5, 0.5]],
        "by_class": [{"3": 1.0, "5": 0.0}, {"3": 0.5, "5": 0.5}],
    }


def test_another_model_than_the_servers_is_no_answer(make):
    service = make(small(), "batch > 0", name="unknown")
    response = ask(service, "POST", "/v2/models/unknown/infer", json.dumps(tensors(SURE)).encode())
    assert response.status == 200, "the function's own model answers"
    assert response.headers["Coldpress-Fallback"].startswith("batch; failed=")


def test_the_servers_refusal_of_inputs_is_the_callers(make):
    wide = small()
    wide.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", T.FLOAT, ["batch", "any"]))
    wide.graph.output[1].CopyFrom(helper.make_tensor_value_info("probabilities", T.FLOAT, ["batch", "any"]))
    response = ask(make(wide, "batch > 0"), "POST", "/predict", b'{"instances":[[1,2,3,4]]}')
    assert response.status == 400
    assert "shape" in json.loads(response.body)["error"]
    assert response.headers["Coldpress-Answered-By"] == "endpoint"
