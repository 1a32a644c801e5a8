import json
import struct

import numpy as np
import pytest

from coldpress_runtime.plain_json import encode_predict
from coldpress_runtime.protocol import InferRequest, encode_infer
from coldpress_runtime.tensor import Tensor
from tests.support.http import ask, get, infer, predict
from tests.support.tiny import open_service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Open one service per model, once."""
    opened = {}

    def of(model, **changes):
        key = (model, json.dumps(changes))
        if key not in opened:
            opened[key] = open_service(tmp_path_factory.mktemp(model) / "b", model, **changes)
        return opened[key]

    return of


def _tensor(data, shape, datatype, name="x"):
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def test_metadata_comes_from_the_model(service):
    assert get(service("two_inputs"), "/v2/models/tiny") == {
        "name": "tiny",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "in/left:0", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "right", "datatype": "FP32", "shape": [-1, -1]},
        ],
        "outputs": [{"name": "sum/of:both", "datatype": "FP32", "shape": [-1, -1]}],
    }
    assert get(service("zipmap"), "/v2/models/tiny")["outputs"][1] == {
        "name": "by_class",
        "datatype": "BYTES",
        "shape": [-1],
    }


def test_health(service):
    tiny = service("mlp")
    assert get(tiny, "/v2/health/live") == {"live": True}
    assert get(tiny, "/v2/health/ready") == {"ready": True}
    assert get(tiny, "/v2/models/tiny/ready") == {"name": "tiny", "ready": True}
    assert get(tiny, "/v2/models/tiny/versions/1/ready") == {"name": "tiny", "ready": True}
    assert get(tiny, "/v2")["name"] == "coldpress"


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]])
def test_data_may_be_flat_or_nested(service, data):
    answer = infer(service("fp32"), {"inputs": [_tensor(data, [2, 2], "FP32")]})
    assert answer == {
        "model_name": "tiny",
        "model_version": "1",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [1.0, 2.0, 3.0, 4.0]}],
    }


@pytest.mark.parametrize(
    ("model", "datatype", "values"),
    [
        ("bool", "BOOL", [True, False]),
        ("int8", "INT8", [-128, 127]),
        ("uint8", "UINT8", [0, 255]),
        ("int64", "INT64", [-(2**63), 2**63 - 1]),
        ("fp16", "FP16", [0.5, -65504.0]),
        ("bf16", "BF16", [0.5, -2.0]),
        ("fp64", "FP64", [1e308, -5e-324]),
        ("bytes", "BYTES", ["", 'grün "\n']),
    ],
)  # fmt: skip
def test_every_datatype_comes_back_as_it_went(service, model, datatype, values):
    answer = infer(service(model), {"id": "7", "inputs": [_tensor(values, [1, 2], datatype)]})
    assert answer["outputs"] == [{"name": "y", "datatype": datatype, "shape": [1, 2], "data": values}]
    assert answer["id"] == "7"
    assert predict(service(model), {"inputs": {"x": [values]}}) == {"outputs": {"y": [values]}}


def test_whole_floats_are_whole_numbers(service):
    assert predict(service("int8"), {"inputs": {"x": [[1.0, -2]]}}) == {"outputs": {"y": [[1, -2]]}}


def test_names_with_punctuation(service):
    body = {"inputs": {"in/left:0": [[1, 2]], "right": [[10, 20]]}}
    assert predict(service("two_inputs"), body) == {"outputs": {"sum/of:both": [[11.0, 22.0]]}}


def test_a_scalar(service):
    tiny = service("scalar")
    assert predict(tiny, {"inputs": {"x": 3}}) == {"outputs": {"y": 3}}
    assert infer(tiny, {"inputs": [_tensor([3], [], "INT64")]})["outputs"][0]["data"] == [3]


def test_an_empty_batch(service):
    assert predict(service("mlp"), {"inputs": {"x": []}})["outputs"] == {"label": [], "probabilities": []}
    answer = infer(service("fp32"), {"inputs": [_tensor([], [0, 2], "FP32")]})
    assert answer["outputs"][0] == {"name": "y", "datatype": "FP32", "shape": [0, 2], "data": []}


def test_instances_of_one_input_and_one_output(service):
    assert predict(service("fp32"), {"instances": [[1, 2], [3, 4]]}) == {"predictions": [[1.0, 2.0], [3.0, 4.0]]}
    assert predict(service("fp32"), {"instances": [{"x": [1, 2]}]}) == {"predictions": [[1.0, 2.0]]}


def test_instances_of_several_inputs_and_outputs(service):
    body = {"instances": [{"in/left:0": [1], "right": [2]}, {"in/left:0": [3], "right": [4]}], "parameters": {}}
    assert predict(service("two_inputs"), body) == {"predictions": [[3.0], [7.0]]}
    predictions = predict(service("mlp"), {"instances": [[0.0] * 64] * 3})["predictions"]
    assert len(predictions) == 3
    assert predictions[0].keys() == {"label", "probabilities"}
    assert len(predictions[0]["probabilities"]) == 10


def test_instances_need_a_row_each(service):
    message = predict(service("sequences"), {"instances": [1]}, 400)
    assert message == "Input 'parts' is a sequence, which has no rows; use \"inputs\"."


def test_maps_are_objects_in_plain_json(service):
    answer = predict(service("zipmap"), {"inputs": {"scores": [[0.25, 0.75], [1, 0]]}})
    assert answer["outputs"]["by_class"] == [{"3": 0.25, "5": 0.75}, {"3": 1.0, "5": 0.0}]
    predictions = predict(service("zipmap"), {"instances": [[0.25, 0.75]]})["predictions"]
    assert predictions == [{"raw": [0.25, 0.75], "by_class": {"3": 0.25, "5": 0.75}}]


def test_maps_are_json_texts_in_the_protocol(service):
    answer = infer(service("zipmap"), {"inputs": [_tensor([0.25, 0.75], [1, 2], "FP32", "scores")]})
    output = answer["outputs"][1]
    assert output["datatype"] == "BYTES"
    assert output["shape"] == [1]
    assert output["parameters"] == {"content_type": "application/json"}
    assert [json.loads(text) for text in output["data"]] == [{"3": 0.25, "5": 0.75}]


def test_sequences_go_in_and_out(service):
    tiny = service("sequences")
    answer = predict(tiny, {"inputs": {"parts": [[1, 2], [3]]}})
    assert answer == {"outputs": {"joined": [1.0, 2.0, 3.0], "same": [[1.0, 2.0], [3.0]]}}
    answer = infer(tiny, {"inputs": [_tensor(["[1,2]", "[3]"], [2], "BYTES", "parts")]})
    assert answer["outputs"][0]["data"] == [1.0, 2.0, 3.0]
    assert answer["outputs"][1]["data"] == ["[1.0,2.0]", "[3.0]"]


def test_what_is_not_finite_is_a_string_in_json(service):
    tiny = service("divide")
    assert predict(tiny, {"inputs": {"x": [1, -1, 0]}}) == {"outputs": {"y": ["Infinity", "-Infinity", "NaN"]}}
    answer = infer(tiny, {"inputs": [_tensor([1, -1, 0], [3], "FP32")]})
    assert answer["outputs"][0]["data"] == ["Infinity", "-Infinity", "NaN"]
    np.testing.assert_array_equal(np.array(answer["outputs"][0]["data"], np.float32), [np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("values", ['["Infinity","NaN"]', "[Infinity,NaN]"])
def test_what_is_not_finite_is_taken_as_a_string_or_as_python_writes_it(service, values):
    body = b'{"inputs":{"x":[' + values.encode() + b"]}}"
    assert predict(service("fp32"), body) == {"outputs": {"y": [["Infinity", "NaN"]]}}


def test_bytes_that_are_no_text_travel_as_base64(service):
    tiny = service("bytes")
    value = {"b64": "/wD+"}
    assert predict(tiny, {"inputs": {"x": [[value, "text"]]}}) == {"outputs": {"y": [[value, "text"]]}}
    answer = infer(tiny, {"inputs": [_tensor([value, {"b64": "b2s="}], [1, 2], "BYTES")]})
    assert answer["outputs"][0]["data"] == [value, "ok"]


def test_only_the_outputs_asked_for_in_their_order(service):
    request = {"inputs": [_tensor([0.0] * 64, [1, 64], "FP32")]}
    both = infer(service("mlp"), request | {"outputs": [{"name": "probabilities"}, {"name": "label"}]})
    assert [output["name"] for output in both["outputs"]] == ["probabilities", "label"]
    one = infer(service("mlp"), request | {"outputs": [{"name": "label"}]})
    assert [output["name"] for output in one["outputs"]] == ["label"]


def _binary(service, document, tail, status=200):
    text = json.dumps(document).encode()
    headers = {"inference_header_content_length": str(len(text)), "content_type": "application/octet-stream"}
    response = ask(service, "POST", "/v2/models/tiny/infer", text + tail, **headers)
    assert response.status == status, response.body
    if response.is_json:
        return json.loads(response.body), b""
    length = int(response.headers["Inference-Header-Content-Length"])
    assert response.headers["Content-Type"] == "application/octet-stream"
    return json.loads(response.body[:length]), response.body[length:]


def _described(size, shape, datatype, name="x"):
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}


@pytest.mark.parametrize("pad", range(8))
def test_binary_in_and_out_at_any_alignment(service, pad):
    tail = struct.pack("<4d", 1.5, -2.0, float("inf"), 1e300)
    document = {"id": "x" * pad, "inputs": [_described(32, [2, 2], "FP64")], "parameters": {"binary_data_output": True}}
    answer, data = _binary(service("fp64"), document, tail)
    assert data == tail
    assert answer["outputs"] == [
        {"name": "y", "datatype": "FP64", "shape": [2, 2], "parameters": {"binary_data_size": 32}}
    ]


def test_binary_strings(service):
    tail = b"\x03\0\0\0abc\0\0\0\0"
    document = {"inputs": [_described(len(tail), [1, 2], "BYTES")], "parameters": {"binary_data_output": True}}
    answer, data = _binary(service("bytes"), document, tail)
    assert data == tail
    assert answer["outputs"][0]["parameters"] == {"binary_data_size": len(tail)}


def test_binary_beside_json(service):
    document = {
        "inputs": [_tensor([1, 2], [1, 2], "FP32", "in/left:0"), _described(8, [1, 2], "FP32", "right")],
        "outputs": [{"name": "sum/of:both", "parameters": {"binary_data": True}}],
    }
    answer, data = _binary(service("two_inputs"), document, struct.pack("<2f", 10, 20))
    assert struct.unpack("<2f", data) == (11, 22)
    document["outputs"][0]["parameters"]["binary_data"] = False
    answer, data = _binary(service("two_inputs"), document, struct.pack("<2f", 10, 20))
    assert answer["outputs"][0]["data"] == [11, 22]


def test_one_output_may_differ_from_the_rest(service):
    document = {
        "inputs": [_tensor([0.0] * 64, [1, 64], "FP32")],
        "outputs": [{"name": "label", "parameters": {"binary_data": False}}, {"name": "probabilities"}],
        "parameters": {"binary_data_output": True},
    }
    answer, data = _binary(service("mlp"), document, b"")
    assert "data" in answer["outputs"][0]
    assert len(data) == 40


def test_complex_numbers_travel_as_binary_data_or_as_pairs():
    # No model of ONNX Runtime's takes or gives them yet, so there is none to ask.
    tensor = Tensor("COMPLEX64", (1, 2), struct.pack("<4f", 1, 2, 3, 4))
    body, headers = encode_infer(InferRequest(None, {}, None, set()), {"y": tensor}, "m", "1", 1000)
    assert body.endswith(bytes(tensor.data))
    assert headers["Content-Type"] == "application/octet-stream"
    assert json.loads(encode_predict({"y": tensor}, None, 1000)) == {"outputs": {"y": [[[1, 2], [3, 4]]]}}
