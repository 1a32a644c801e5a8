"""Every wrong request gets a 4xx that names what was wrong, and the next good one still answers."""

import gzip
import json
import tracemalloc

import pytest

from coldpress_runtime.errors import RequestError
from coldpress_runtime.json_text import parse
from tests.support.http import ask, infer, predict
from tests.support.tiny import open_service


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    names = ("fp32", "int8", "int64", "bool", "bytes", "mlp", "two_inputs", "lookup", "expand", "uint8", "fp16", "fp64")
    limits = {"request_bytes": 200_000, "response_bytes": 100_000}
    return {name: open_service(tmp_path_factory.mktemp(name) / "b", name, limits=limits) for name in names}


@pytest.fixture(autouse=True)
def _next_good_request_still_answers(services):
    yield
    assert predict(services["fp32"], {"inputs": {"x": [[1, 2]]}}) == {"outputs": {"y": [[1.0, 2.0]]}}


def _deep(depth):
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"   ", "empty"),
        (b"{", "not JSON"),
        (b'{"inputs":', "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b'\xef\xbb\xbf{"inputs":{}}', "not JSON"),
        (b'{"inputs":{"x":[[1,2]]}} x', "not JSON: Extra data"),
        (b"null", "null, expected an object"),
        (b"[]", "a list of 0, expected an object"),
        (b'"x"', "expected an object"),
        (b"1", "expected an object"),
        (_deep(100_000), "nested too deeply"),
        (b'{"inputs":{"x":' + _deep(90_000) + b"}}", "nested"),
        (b'{"inputs":{"x":[[1,' + b"9" * 5000 + b"]]}}", "thousands of digits"),
        (b'{"inputs":{"x":[[1,2]]},"inputs":{"x":[[1,2]]}}', 'key "inputs" appears twice'),
        (b'{"inputs":{"x":[[1,2]],"x":[[1,2]]}}', 'key "x" appears twice'),
        (b'{"inputs":{"x":[["\\ud800",2]]}}', "surrogate"),
        (b'{"inputs":{"x":[["\\uDC80",2]]}}', "surrogate"),
        (b'{"inputs":{"x":[["\x01",2]]}}', "not JSON: Invalid control character"),
        (b"{}", 'exactly one of "inputs" and "instances"'),
        (b'{"inputs":{},"instances":[]}', 'exactly one of "inputs" and "instances"'),
        (b'{"inputs":{"x":[[1,2]]},"output":1}', '"output" is unknown'),
        (b'{"inputs":{"x":[[1,2]]},"parameters":7}', "parameters is 7"),
        (b'{"inputs":[[1,2]]}', "expected an object of arrays by input name: 'x'"),
        (b'{"inputs":{}}', "'x' is missing"),
        (b'{"inputs":{"x":[[1,2]],"z":1}}', "\"z\" is unknown; this model's inputs are 'x'"),
        (b'{"instances":[]}', "at least one instance"),
        (b'{"instances":{}}', "an object, expected a list"),
        (b'{"instances":[{"x":[1,2]},[1,2]]}', "Instance 1"),
        (b'{"instances":[{"z":[1,2]}]}', '"z" is unknown'),
    ],
)
def test_bodies_that_are_wrong_as_a_whole(services, body, message):
    assert message in predict(services["fp32"], body, 400)


def test_objects_nested_too_deeply():
    with pytest.raises(RequestError, match="nested too deeply"):
        parse(b'{"a":' * 300_000 + b"1" + b"}" * 300_000)  # Python 3.14 reads more than 50,000 levels


@pytest.mark.parametrize(
    ("model", "value", "message"),
    [
        ("fp32", [1, 2], "has shape [2], expected [n, 2]: 2 axes"),
        ("fp32", 1, "is 1, expected lists nested 2 deep, of shape [n, 2]"),
        ("fp32", [[[1, 2]]], "nested more than 2 deep"),
        ("fp32", [[1, 2, 3]], "has shape [1, 3], expected [n, 2]"),
        ("fp32", [[1, 2], [3]], "ragged: on axis 1, element 1 is a list of 1 beside a list of 2"),
        ("fp32", [[1, 2], 3], "ragged: on axis 1, element 1 is 3"),
        ("fp32", [[1, [2]]], "element 1 is a list of 1, expected a number"),
        ("fp32", [["1", 2]], 'element 0 is "1", expected a number'),
        ("fp32", [[True, 2]], "element 0 is true, expected a number"),
        ("fp32", [[None, 2]], "element 0 is null, expected a number"),
        ("fp32", [[{}, 2]], "element 0 is an object"),
        ("fp32", None, "is null, expected lists"),
        ("fp32", {"a": 1}, "is an object, expected lists"),
        ("fp32", [[0, 1e39]], "element 1 is 1e+39, which FP32 cannot hold"),
        ("fp32", [[0, 10**400]], "which FP32 cannot hold"),
        ("fp16", [[0, 65536]], "element 1 is 65536, which FP16 cannot hold"),
        ("int8", [[0, 128]], "element 1 is 128, which INT8 cannot hold"),
        ("int8", [[0, 1.5]], "element 1 is 1.5, expected a whole number"),
        ("int8", [[0, float("nan")]], "element 1 is nan, expected a whole number"),
        ("int8", [[0, "NaN"]], 'element 1 is "NaN", expected a whole number'),
        ("int8", [[0, float("inf")]], "element 1 is inf, expected a whole number"),
        ("int8", [[0, 1e300]], "which INT8 cannot hold"),
        ("int8", [[True, 1]], "element 0 is true, expected a whole number"),
        ("int8", [["1", 1]], 'element 0 is "1", expected a whole number'),
        ("uint8", [[0, -1]], "element 1 is -1, which UINT8 cannot hold"),
        ("int64", [[0, 2**63]], "which INT64 cannot hold"),
        ("int64", [[0, 10**400]], "which INT64 cannot hold"),
        ("bool", [[0, True]], "element 0 is 0, expected true or false"),
        ("bytes", [["a", 1]], "element 1 is 1, expected a string"),
        ("bytes", [["a", {"b64": "!!!"}]], "element 1 is not valid base64"),
        ("bytes", [["a", {"b64": "YQ"}]], "element 1 is not valid base64"),
        ("bytes", [["a", {"b64": 1}]], "element 1 is an object"),
        ("bytes", [["a", {"b64": "YQ==", "x": 1}]], "element 1 is an object"),
    ],
)
def test_values_that_do_not_fit_the_signature(services, model, value, message):
    found = predict(services[model], {"inputs": {"x": value}}, 400)
    assert found.startswith("Input 'x'")
    assert message in found


def test_a_key_sent_twice_among_very_many(tmp_path):
    keys = ",".join(f'"{place}":0' for place in range(300_000))  # comparing each with each would take minutes
    service = open_service(tmp_path / "b", "fp32")
    assert 'key "7" appears twice' in predict(service, f'{{{keys},"7":0,"8":0}}'.encode(), 400)


@pytest.mark.parametrize("model", ["int8", "fp16", "fp32", "uint8"])
@pytest.mark.parametrize("places", [[0], [9], [6, 3, 8]])
def test_the_first_of_several_numbers_out_of_range_is_named(services, model, places):
    values = [1] * 10
    for place in places:
        values[place] = 10**39
    message = predict(services[model], {"inputs": {"x": [values[at : at + 2] for at in range(0, 10, 2)]}}, 400)
    assert f"element {min(places)} is 1" in message
    assert "cannot hold" in message


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"1" * 400 + b".0"])
def test_a_number_beyond_every_float_is_not_taken_for_infinity(services, number):
    message = "Input 'x' is FP32: element 1 is a number beyond every float, which FP32 cannot hold."
    assert predict(services["fp32"], b'{"inputs":{"x":[[1,' + number + b"]]}}", 400) == message
    assert predict(services["fp32"], b'{"inputs":{"x":[[1,-Infinity]]}}')["outputs"] == {"y": [[1.0, "-Infinity"]]}


def test_numbers_whose_sum_is_out_of_range(services):
    tall = {"inputs": {"x": [[3.4e38, 3.4e38]] * 50}}
    assert predict(services["fp32"], tall)["outputs"]["y"][0] == pytest.approx([3.4e38, 3.4e38])
    assert predict(services["fp64"], {"inputs": {"x": [[1.7e308, 1.7e308]]}})["outputs"] == {"y": [[1.7e308] * 2]}


def _x(**changes):
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]} | changes
    return {"inputs": [{key: value for key, value in tensor.items() if value is not ...}]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "inputs is missing"),
        ({"inputs": {"x": 1}}, "inputs is an object, expected a list"),
        ({"inputs": None}, "inputs is null"),
        ({"inputs": []}, "'x' is missing"),
        ({"inputs": [1]}, "element of inputs is 1"),
        ({"inputs": [{"name": 1}]}, "expected an object with a name"),
        ({"inputs": _x()["inputs"] * 2}, "'x' is given twice"),
        ({"inputs": _x(name="z")["inputs"]}, '"z" is unknown'),
        (_x(shape=...), "shape is null"),
        (_x(shape="12"), 'shape is "12"'),
        (_x(shape=[1, -2]), "shape holds -2"),
        (_x(shape=[1, 2.0]), "shape holds 2.0"),
        (_x(shape=[True, 2]), "shape holds true"),
        (_x(shape=[2]), "has shape [2], expected [n, 2]"),
        (_x(shape=[1, 2, 1]), "expected [n, 2]"),
        (_x(shape=[1] * 65), "at most 64"),
        (_x(shape=[10**12, 2]), "needs 2000000000000"),
        (_x(shape=[2**62, 2]), "far more"),
        (_x(shape=[2**63, 2]), "shape holds 9223372036854775808"),
        (_x(shape=[10**400, 2]), "shape holds 1000"),
        (_x(shape=[0, 2]), "data has 2 elements"),
        (_x(datatype="FP64"), 'datatype "FP64", expected FP32'),
        (_x(datatype=None), "datatype null"),
        (_x(datatype=...), "datatype null"),
        (_x(data=...), "neither data nor"),
        (_x(data=7), "data is 7, expected a list"),
        (_x(data=[[1], [2]]), "nested as [2, 1], but its shape says [1, 2]"),
        (_x(data=[[[1, 2]]]), "nested more than 2"),
        (_x(data=[1]), "data has 1 elements"),
        (_x(parameters={"binary_data_size": 8}), "both data and the parameter"),
        (_x(data=..., parameters={"binary_data_size": 8}), "0 bytes of binary data are left"),
        (_x(data=..., parameters={"binary_data_size": -1}), "binary_data_size is -1"),
        (_x(data=..., parameters={"binary_data_size": True}), "binary_data_size is true"),
        (_x(data=..., parameters={"binary_data_size": 10**30}), "bytes of binary data are left"),
        (_x(data=..., parameters={"shared_memory_region": "r"}), "shared memory"),
        (_x(parameters=[]), "parameters is a list"),
        (_x() | {"id": 7}, "id is 7"),
        (_x() | {"parameters": "x"}, 'parameters is "x"'),
        (_x() | {"parameters": {"binary_data_output": 1}}, "binary_data_output is 1"),
        (_x() | {"outputs": {}}, "outputs is an object"),
        (_x() | {"outputs": {"name": "y"}}, "outputs is an object"),
        (_x() | {"outputs": ["y"]}, "element of outputs is"),
        (_x() | {"outputs": [{"name": "z"}]}, "\"z\" is unknown; this model's outputs are 'y'"),
        (_x() | {"outputs": [{"name": "y"}, {"name": "y"}]}, "asked for twice"),
        (_x() | {"outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        (_x() | {"outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]}, "binary_data"),
    ],
)
def test_wrong_inference_requests(services, document, message):
    assert message in infer(services["fp32"], document, 400)


@pytest.mark.parametrize(
    ("header", "tail", "size", "message"),
    [
        ("0", b"", 8, "empty"),
        ("x", b"", 8, 'is "x", expected the length'),
        ("-1", b"", 8, "expected the length"),
        ("1" * 30, b"", 8, "expected the length"),
        ("\u0663", b"", 8, "expected the length"),
        ("99999", b"", 8, "but the body has only"),
        (None, b"\0" * 4, 8, "not JSON"),
        ("right", b"\0" * 7, 7, "has 7 bytes of binary data; FP32 of shape [1, 2] needs 8"),
        ("right", b"\0" * 7, 8, "7 bytes of binary data are left"),
        ("right", b"\0" * 9, 8, "add up to 8"),
    ],
)
def test_wrong_binary_bodies(services, header, tail, size, message):
    text = json.dumps(_x(data=..., parameters={"binary_data_size": size})).encode()
    header = str(len(text)) if header == "right" else header
    headers = {} if header is None else {"inference_header_content_length": header}
    response = ask(services["fp32"], "POST", "/v2/models/tiny/infer", text + tail, **headers)
    assert response.status == 400
    assert message in json.loads(response.body)["error"]


@pytest.mark.parametrize(
    ("model", "datatype", "tail", "message"),
    [
        ("bytes", "BYTES", b"\1\0\0", "ends inside an element's length"),
        ("bytes", "BYTES", b"\xff\xff\xff\xffabc", "claims 4294967295 bytes"),
        ("bytes", "BYTES", b"\1\0\0\0a", "holds 1 elements"),
        ("bytes", "BYTES", b"\0\0\0\0" * 5, "more elements"),
        ("bool", "BOOL", b"\1\2", "is 2, expected 0 or 1"),
    ],
)
def test_wrong_binary_values(services, model, datatype, tail, message):
    document = _x(datatype=datatype, data=..., parameters={"binary_data_size": len(tail)})
    text = json.dumps(document).encode()
    headers = {"inference_header_content_length": str(len(text))}
    response = ask(services[model], "POST", "/v2/models/tiny/infer", text + tail, **headers)
    assert response.status == 400
    assert message in json.loads(response.body)["error"]


def test_sizes_at_odds_inside_the_model(services):
    body = {"inputs": {"in/left:0": [[1, 2, 3]], "right": [[1, 2]]}}
    assert predict(services["two_inputs"], body, 400)


def test_an_index_out_of_range_inside_the_model(services):
    assert predict(services["lookup"], {"inputs": {"index": [3]}}, 400)
    assert predict(services["lookup"], {"inputs": {"index": [2]}})["outputs"]["row"] == [[8, 9, 10, 11]]


@pytest.mark.parametrize("path", ["/predict", "/v2/models/tiny/infer"])
def test_a_body_over_the_limit(services, path):
    response = ask(services["fp32"], "POST", path, b" " * 7_000_000)
    assert response.status == 413
    assert "7000000 bytes" in json.loads(response.body)["error"]


def test_a_compressed_body(services):
    body = gzip.compress(b'{"inputs":{"x":[[1,2]]}}')
    assert ask(services["fp32"], "POST", "/predict", body, content_encoding="gzip").status == 200
    assert ask(services["fp32"], "POST", "/predict", body, content_encoding="deflate").status == 400
    assert ask(services["fp32"], "POST", "/predict", body[:-4], content_encoding="gzip").status == 400
    assert ask(services["fp32"], "POST", "/predict", body + b"x", content_encoding="gzip").status == 400
    assert ask(services["fp32"], "POST", "/predict", body, content_encoding="br").status == 415


def test_a_compressed_bomb_is_not_inflated(services):
    bomb = gzip.compress(bytes(150_000_000))
    assert len(bomb) < 200_000
    tracemalloc.start()
    response = ask(services["fp32"], "POST", "/predict", bomb, content_encoding="gzip")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert response.status == 413
    assert peak < 2_000_000


def test_numbers_in_a_shape_allocate_nothing(services):
    tracemalloc.start()
    for shape in ([10**9, 2], [0, 2], [10**9, 0], [2**62, 2**62]):
        infer(services["fp32"], _x(shape=shape), 400)
    infer(
        services["two_inputs"],
        {"inputs": [_x(name=name, shape=[0, 10**12], data=[])["inputs"][0] for name in ("in/left:0", "right")]},
        400,
    )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("shape", [[1 << 22, 0], [1 << 40, 0]])
def test_long_axes_of_an_empty_answer_allocate_nothing(tmp_path, shape):
    service = open_service(tmp_path / "b", "zeros")
    assert "The answer would take over" in predict(service, {"inputs": {"shape": shape}}, 413)
    assert predict(service, {"inputs": {"shape": [2, 0]}}) == {"outputs": {"y": [[], []]}}


@pytest.mark.parametrize("size", ["5", 1.5, [1], True, -3, 99])
def test_a_binary_size_that_is_none_for_an_input_of_json_texts(tmp_path, size):
    texts = {"name": "parts", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size}}
    service = open_service(tmp_path / "b", "sequences")
    assert "binary_data_size is" in infer(service, {"inputs": [texts]}, 400)
    assert "both data and" in infer(service, {"inputs": [texts | {"data": ["[1]"]}]}, 400)


@pytest.mark.parametrize("value", [[], [1], [1, 2], None, {}, "x", True])
def test_a_value_of_a_map_that_is_none(tmp_path, value):
    assert "'counts' is" in predict(open_service(tmp_path / "b", "counts"), {"inputs": {"counts": {"a": value}}}, 400)


@pytest.mark.parametrize("rows", [30, 20_000])
def test_an_answer_over_the_limit(services, rows):
    message = predict(services["expand"], {"inputs": {"x": [[0.1]] * rows}}, 413)
    assert "at most 100000; send fewer rows" in message


@pytest.mark.parametrize(
    "kind", ["image/png", "multipart/form-data; boundary=x", "application/octet-stream", "text/csv"]
)
def test_content_types_that_are_not_json(services, kind):
    response = ask(services["fp32"], "POST", "/predict", b"{}", content_type=kind)
    assert response.status == 415


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "application/cloudevents+json", "", "text/plain"],
)
def test_content_types_that_json_arrives_in(services, kind):
    body = b'{"inputs":{"x":[[1,2]]}}'
    assert ask(services["fp32"], "POST", "/predict", body, content_type=kind).status == 200


@pytest.mark.parametrize(
    "path",
    ["", "/", "/nope", "/predict/x", "/v2/models", "/v2/models/other", "/v2/models/tiny/versions/2", "/%", "/\udc80",
     "/v2/models/tiny/infer/x", "//predict", "/PREDICT", "/../predict", "\0", "/" + "x" * 100_000],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_unknown_paths(services, path, method):
    response = ask(services["fp32"], method, path)
    assert response.status == 404
    assert "There is nothing at" in json.loads(response.body)["error"]
    assert len(response.body) < 300


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/predict", "POST, OPTIONS"),
        ("DELETE", "/v2/models/tiny/infer", "POST, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
        ("", "/v2", "GET, HEAD, OPTIONS"),
        ("get", "/v2", "GET, HEAD, OPTIONS"),
    ],
)
def test_methods_that_a_path_does_not_take(services, method, path, allow):
    response = ask(services["fp32"], method, path)
    assert response.status == 405
    assert response.headers["Allow"] == allow


def test_head_and_options(services):
    response = ask(services["fp32"], "HEAD", "/v2/health/live")
    assert (response.status, response.body) == (200, b"")
    response = ask(services["fp32"], "OPTIONS", "/predict")
    assert (response.status, response.body, response.headers["Allow"]) == (204, b"", "POST, OPTIONS")
