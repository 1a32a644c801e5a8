"""Models that are not rows of floats, through every protocol: maps, text, types that numpy lacks, large answers."""

import json

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from onnx import TensorProto
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.support.endpoint_server import put_model, run_endpoint
from tests.support.tiny import divide, every_type, expand, identity, lookup, zipmap

SCORES = [[0.25, 0.75], [1.0, 0.0]]
BY_CLASS = [{"3": 0.25, "5": 0.75}, {"3": 1.0, "5": 0.0}]
LIMIT = 20_000


def _newest(element):
    """A model that hands a type through which only newer operators take."""
    model = identity(element)
    model.ir_version, model.opset_import[0].version = 10, 21
    return model


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    models = {
        "zipmap": zipmap(),
        "every": every_type(),
        "lookup": lookup(),
        "expand": expand(),
        "divide": divide(),
        "bf16": identity(TensorProto.BFLOAT16),
        "float8": _newest(TensorProto.FLOAT8E4M3FN),
        "uint8": identity(TensorProto.UINT8),
    }
    for name, model in models.items():
        put_model(folder, name, "1", model)
    with run_endpoint(folder, COLDPRESS_MAX_ANSWER=str(LIMIT), COLDPRESS_MODEL="zipmap") as server:
        yield server


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def test_a_classifier_with_a_map_for_each_row(server):
    rows = [{"raw": raw, "by_class": each} for raw, each in zip(SCORES, BY_CLASS, strict=True)]
    body = {"instances": SCORES}
    for path in ("/v1/models/zipmap:predict", "/invocations", "/score", "/predictions/zipmap"):
        assert server.json("POST", path, body) == (200, {"predictions": rows}), path
    assert server.json("POST", "/invocations", {"scores": SCORES}) == (
        200,
        {"outputs": {"raw": SCORES, "by_class": BY_CLASS}},
    )
    status, _, text = server.ask("POST", "/invocations", b"0.25,0.75\n1,0\n", content_type="text/csv")
    assert (status, text) == (200, b"0.25,0.75,0.25,0.75\n1.0,0.0,1.0,0.0\n")
    status, found = server.json("POST", "/invocations", body, accept="application/x-npz")
    assert status == 400
    assert "a sequence or a map" in found["error"]


def test_a_map_over_grpc_travels_as_json_texts(stub):
    request = service_pb2.ModelInferRequest(model_name="zipmap")
    request.inputs.add(name="scores", datatype="FP32", shape=[2, 2]).contents.fp32_contents.extend([0.25, 0.75, 1, 0])
    response = stub.ModelInfer(request)
    found = triton_grpc.InferResult(response).as_numpy("by_class")
    assert [json.loads(text) for text in found] == BY_CLASS
    assert response.outputs[1].parameters["content_type"].string_param == "application/json"


def test_two_tables_of_scores_are_no_classification(server):
    status, found = server.json("POST", "/v1/models/zipmap:classify", {"examples": [{"scores": [0.5, 0.5]}]})
    assert status == 400
    assert "has 2 outputs" in found["error"]


def test_text_that_is_bytes(server):
    found = server.json("POST", "/v1/models/every:predict", {"inputs": _every("grün")})
    assert found[0] == 200
    assert found[1]["outputs"]["S"] == ["grün"]
    status, found = server.json("POST", "/v1/models/every:predict", {"inputs": _every({"b64": "/w=="})})
    assert status == 400
    assert "not UTF-8 text" in found["error"]


def _every(text):
    return {"f": [0.5], "i": [7], "s": [text], "h": [2.0], "b": [True]}


def test_infinities_and_what_the_model_refuses(server):
    assert server.ask("POST", "/v1/models/divide:predict", {"instances": [1, -1]})[2] == (
        b'{"predictions":[Infinity,-Infinity]}'
    )
    for path in ("/v1/models/lookup:predict", "/predictions/lookup", "/models/lookup/invoke"):
        assert server.ask("POST", path, {"instances": [1, 99]})[0] == 400, path


@pytest.mark.parametrize("name", ["bf16", "float8", "uint8"])
def test_types_that_json_or_numpy_lack_keep_their_values(server, name):
    rows = [[1.0, 2.0], [3.0, 4.0]]
    for path in (f"/v1/models/{name}:predict", f"/predictions/{name}", f"/models/{name}/invoke"):
        status, found = server.json("POST", path, {"instances": rows})
        assert status == 200, found
        assert found["predictions"] == rows
    status, _, text = server.ask("POST", f"/models/{name}/invoke", b"1,2\n3,4\n", content_type="text/csv")
    assert status == 200
    assert [[float(cell) for cell in line.split(b",")] for line in text.splitlines()] == rows


def test_bf16_and_bytes_over_grpc(stub):
    request = service_pb2.ModelInferRequest(model_name="bf16")
    request.inputs.add(name="x", datatype="BF16", shape=[1, 2])
    request.raw_input_contents.append(b"\x80\x3f\x00\xc0")  # 1 and -2
    assert stub.ModelInfer(request).raw_output_contents[0] == b"\x80\x3f\x00\xc0"
    config = stub.ModelConfig(service_pb2.ModelConfigRequest(name="float8")).config
    assert config.input[0].data_type == 0  # Triton has no name for it
    assert stub.ModelMetadata(service_pb2.ModelMetadataRequest(name="float8")).inputs[0].datatype == "FLOAT8E4M3FN"


@pytest.mark.parametrize("path", ["/v1/models/expand:predict", "/predictions/expand", "/models/expand/invoke"])
@pytest.mark.parametrize("accept", ["", "text/csv", "application/x-npy", "application/jsonlines"])
def test_an_answer_over_the_limit(server, path, accept):
    status, _, text = server.ask("POST", path, {"instances": [[1.0]]}, accept=accept)
    assert status == 200
    assert len(text) <= LIMIT
    status, found = server.json("POST", path, {"instances": [[1.0]] * 30}, accept=accept)
    assert status == 413
    assert str(LIMIT) in json.dumps(found)


def test_an_answer_over_the_limit_over_grpc(stub):
    request = service_pb2.ModelInferRequest(model_name="expand")
    request.inputs.add(name="x", datatype="FP32", shape=[30, 1])
    request.raw_input_contents.append(np.ones(30, "<f4").tobytes())
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert str(LIMIT) in caught.value.details()


def test_types_have_tensorflows_names(server):
    kinds = {"bf16": "DT_BFLOAT16", "uint8": "DT_UINT8", "float8": "DT_FLOAT8_E4M3FN", "divide": "DT_FLOAT"}
    for name, kind in kinds.items():
        signature = server.json("GET", f"/v1/models/{name}/metadata")[1]["metadata"]["signature_def"]["signature_def"]
        assert signature["serving_default"]["inputs"]["x"]["dtype"] == kind
