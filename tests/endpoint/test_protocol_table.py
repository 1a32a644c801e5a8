"""One table: the same rows asked through every protocol give the same numbers, and errors have each its own form."""

import io
import json

import boto3
import botocore.config
import botocore.exceptions
import numpy as np
import pytest
import tritonclient.grpc as triton_grpc

from tests.support.endpoint_server import affine, expected, put_model, run_endpoint, two_inputs

ROWS = [[1, 2, 3, 4], [0, -1, 0.5, 8], [100, 0, 0, -0.25]]
ANSWER = expected(ROWS)
PREDICT, HEALTH = "/vertex/predict", "/vertex/health"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    put_model(folder, "affine", "1", affine())
    put_model(folder, "mixed", "1", two_inputs())
    environ = {"AIP_PREDICT_ROUTE": PREDICT, "AIP_HEALTH_ROUTE": HEALTH, "COLDPRESS_MODEL": "affine"}
    with run_endpoint(folder, **environ) as server:
        yield server


def _npy(values, dtype=np.float64):
    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype))
    return file.getvalue()


def _form(*fields):
    """A form as curl writes one."""
    pieces = [
        b'--b0undary\r\nContent-Disposition: form-data; name="%b"; filename="f"\r\nContent-Type: %b\r\n\r\n%b\r\n'
        % (name.encode(), kind.encode(), body)
        for name, kind, body in fields
    ]
    return b"".join([*pieces, b"--b0undary--\r\n"])


def _infer_document(rows):
    flat = [value for row in rows for value in row]
    return {"inputs": [{"name": "x", "shape": [len(rows), 4], "datatype": "FP32", "data": flat}]}


def _lines(rows):
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _csv(rows):
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


def _raw(rows):
    return np.asarray(rows, "<f4").tobytes()


def _infer(document):
    return np.reshape(document["outputs"][0]["data"], document["outputs"][0]["shape"]).tolist()


def _table(document):
    return document["predictions"] if "predictions" in document else document["outputs"]["y"]


_TEXT = "application/octet-stream"
#: Each way of asking: path, body, content type, and how to read the answer.
_WAYS = {
    "plain rows": ("/predict", {"instances": ROWS}, "", _table),
    "plain columns": ("/predict", {"inputs": {"x": ROWS}}, "", _table),
    "open inference": ("/v2/models/affine/infer", _infer_document(ROWS), "", _infer),
    "tensorflow rows": ("/v1/models/affine:predict", {"instances": ROWS}, "", _table),
    "tensorflow named rows": ("/v1/models/affine:predict", {"instances": [{"x": row} for row in ROWS]}, "", _table),
    "tensorflow version": ("/v1/models/affine/versions/1:predict", {"instances": ROWS}, "", _table),
    "tensorflow columns": ("/v1/models/affine:predict", {"inputs": ROWS}, "", lambda found: found["outputs"]),
    "tensorflow named columns": (
        "/v1/models/affine:predict",
        {"inputs": {"x": ROWS}, "signature_name": "serving_default"},
        "",
        lambda found: found["outputs"],
    ),
    "tensorflow classify": (
        "/v1/models/affine:classify",
        {"examples": [{"x": row} for row in ROWS]},
        "",
        lambda found: [[score for _, score in row] for row in found["results"]],
    ),
    "torchserve rows": ("/predictions/affine", ROWS, "", list),
    "torchserve version": ("/predictions/affine/1", ROWS, "", list),
    "torchserve instances": ("/predictions/affine", {"instances": ROWS}, "", _table),
    "torchserve bytes": ("/predictions/affine", _raw(ROWS), "", _table),
    "torchserve file": (
        "/predictions/affine",
        _form(("data", _TEXT, _raw(ROWS))),
        "multipart/form-data; boundary=b0undary",
        _table,
    ),
    "torchserve named file": (
        "/predictions/affine",
        _form(("x", "text/csv", _csv(ROWS))),
        "multipart/form-data; boundary=b0undary",
        None,
    ),
    "sagemaker rows": ("/invocations", ROWS, "", list),
    "sagemaker instances": ("/invocations", {"instances": ROWS}, "", _table),
    "sagemaker csv": ("/invocations", _csv(ROWS), "text/csv", None),
    "sagemaker csv charset": ("/invocations", _csv(ROWS), "text/csv; charset=utf-8", None),
    "sagemaker lines": ("/invocations", _lines(ROWS), "application/jsonlines", "lines"),
    "sagemaker npy": ("/invocations", _npy(ROWS), "application/x-npy", "npy"),
    "sagemaker npy of integers": (
        "/invocations",
        _npy([[1, 2, 3, 4]], np.int64),
        "application/x-npy",
        "one",
    ),
    "sagemaker several models": ("/models/affine/invoke", {"x": ROWS}, "", _table),
    "vertex": (PREDICT, {"instances": ROWS, "parameters": {"seed": 1}}, "", _table),
    "vertex raw": (PREDICT, _infer_document(ROWS), "", _infer),
    "azure data": ("/score", {"data": ROWS}, "", list),
    "azure named data": ("/score", {"data": {"x": ROWS}}, "", _table),
    "azure mlflow": (
        "/score",
        {"input_data": {"columns": ["x"], "index": [0, 1, 2], "data": [[row] for row in ROWS]}},
        "",
        list,
    ),
    "azure mlflow array": ("/score", {"input_data": ROWS, "params": {}}, "", list),
    "azure instances": ("/score", {"instances": ROWS}, "", _table),
}


@pytest.mark.parametrize("way", _WAYS)
def test_every_way_of_asking_gives_the_same_numbers(server, way):
    path, body, kind, read = _WAYS[way]
    headers = {"content-type": kind} if kind else {}
    status, found, text = server.ask("POST", path, body, **headers)
    assert status == 200, text
    if read is None:  # CSV is answered by CSV
        assert found["content-type"] == "text/csv"
        came = [[float(cell) for cell in line.split(",")] for line in text.decode().splitlines()]
    elif read == "lines":
        came = [json.loads(line) for line in text.splitlines()]
    elif read in {"npy", "one"}:
        came = np.load(io.BytesIO(text), allow_pickle=False).tolist()
    else:
        came = read(json.loads(text))
    assert came == (expected([[1, 2, 3, 4]]) if read == "one" else ANSWER)


def test_grpc_gives_the_same_numbers(server):
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
        tensor = triton_grpc.InferInput("x", [3, 4], "FP32")
        tensor.set_data_from_numpy(np.array(ROWS, np.float32))
        assert client.infer("affine", [tensor]).as_numpy("y").tolist() == ANSWER


def test_one_row_is_answered_by_one(server):
    for path in ("/predictions/affine", "/invocations", "/score"):
        assert server.json("POST", path, ROWS[0]) == (200, ANSWER[0])


def test_several_inputs_of_several_types(server):
    rows = [{"number": [0.5], "count": [1], "word": "a"}, {"number": [2], "count": [-3], "word": "grün"}]
    answers = [{"total": [1.5], "text": "a"}, {"total": [-1.0], "text": "grün"}]
    assert server.json("POST", "/v1/models/mixed:predict", {"instances": rows}) == (200, {"predictions": answers})
    assert server.json("POST", "/predictions/mixed", rows) == (200, answers)
    assert server.json("POST", "/models/mixed/invoke", {"instances": rows}) == (200, {"predictions": answers})
    columns = {"total": [[1.5], [-1.0]], "text": ["a", "grün"]}
    body = {"inputs": {name: [row[name] for row in rows] for name in rows[0]}}
    assert server.json("POST", "/v1/models/mixed:predict", body) == (200, {"outputs": columns})
    status, _, text = server.ask(
        "POST", "/models/mixed/invoke", "0.5,1,a\n2,-3,grün\n".encode(), content_type="text/csv"
    )
    assert (status, text.decode()) == (200, "1.5,a\n-1.0,grün\n")
    form = _form(
        ("word", "application/json", b'["a"]'),
        ("count", "application/x-npy", _npy([[1]], np.int32)),
        ("number", _TEXT, np.float32(0.5).tobytes()),
    )
    found = server.json("POST", "/predictions/mixed", form, content_type="multipart/form-data; boundary=b0undary")
    assert found == (200, {"predictions": [{"total": [1.5], "text": "a"}]})


def test_regression_by_examples_and_a_context(server):
    body = {"context": {"word": "w"}, "examples": [{"number": 0.5, "count": 1}, {"number": [2], "count": [-3]}]}
    assert server.json("POST", "/v1/models/mixed:regress", body) == (200, {"results": [1.5, -1.0]})
    status, found = server.json("POST", "/v1/models/mixed:classify", body)
    assert status == 400
    assert "classify needs one; use :predict" in found["error"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv", "text/csv"),
        ("application/jsonlines", "application/jsonlines"),
        ("text/html, application/json;q=0.9, text/csv;q=0.1", "application/json"),
        ("*/*", "application/json"),
        ("application/x-npz", "application/x-npz"),
    ],
)
def test_accept_chooses_the_form_of_the_answer(server, accept, kind):
    status, headers, text = server.ask("POST", "/invocations", {"instances": ROWS}, accept=accept)
    assert (status, headers["content-type"]) == (200, kind)
    if kind == "application/x-npz":
        assert np.load(io.BytesIO(text))["y"].tolist() == ANSWER


def test_floats_that_are_not_finite_leave_as_each_protocol_spells_them(server):
    body = b'{"instances": [[NaN, 1, 2, 3], [Infinity, 0, 0, 0]]}'
    _, _, text = server.ask("POST", "/v1/models/affine:predict", body, content_type="application/json")
    assert text == b'{"predictions":[[NaN,NaN,NaN],[NaN,Infinity,Infinity]]}'
    _, _, text = server.ask("POST", "/invocations", body, content_type="application/json")
    assert text == b'{"predictions":[["NaN","NaN","NaN"],["NaN","Infinity","Infinity"]]}'


def test_sagemakers_headers_come_back(server):
    sent = {"x_amzn_sagemaker_custom_attributes": "trace=7", "x_amzn_sagemaker_inference_id": "i-1"}
    _, headers, _ = server.ask("POST", "/invocations", ROWS, **sent)
    assert headers["x-amzn-sagemaker-custom-attributes"] == "trace=7"
    assert headers["x-amzn-sagemaker-inference-id"] == "i-1"


def test_amazons_client_pointed_at_the_endpoint(server):
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    ask = {
        "EndpointName": "anything",
        "ContentType": "text/csv",
        "CustomAttributes": "a=1",
        "TargetModel": "affine.tar.gz",
    }
    found = client.invoke_endpoint(Body=_csv(ROWS), Accept="application/json", **ask)
    assert json.loads(found["Body"].read()) == {"predictions": ANSWER}
    assert (found["ContentType"], found["CustomAttributes"]) == ("application/json", "a=1")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.invoke_endpoint(Body=b"1,2\n", **ask)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_tritons_content_types_for_sagemaker_and_vertex_carry_binary_data(server):
    for path, cloud in (("/invocations", "sagemaker"), (PREDICT, "vertex-ai")):
        document = _infer_document(ROWS)
        del document["inputs"][0]["data"]
        document["inputs"][0]["parameters"] = {"binary_data_size": 48}
        document["parameters"] = {"binary_data_output": True}
        text = json.dumps(document).encode()
        name = f"application/vnd.{cloud}-triton.binary+json"
        status, headers, body = server.ask(
            "POST", path, text + _raw(ROWS), content_type=f"{name};json-header-size={len(text)}"
        )
        assert status == 200, body
        kind, _, length = headers["content-type"].partition(";json-header-size=")
        assert kind == name
        assert np.frombuffer(body[int(length) :], "<f4").reshape(3, 3).tolist() == ANSWER


def test_what_servers_tell_of_themselves(server):
    assert server.json("GET", "/ping") == (200, {"status": "Healthy"})
    assert server.json("GET", "/")[0] == 200
    assert server.json("GET", HEALTH) == (200, {"ready": True})
    _, found = server.json("GET", "/models")
    assert [each["modelName"] for each in found["models"]] == ["affine", "mixed"]
    assert server.json("GET", "/models/affine")[1][0]["modelVersion"] == "1"
    _, found = server.json("GET", "/v1/models/affine/versions/1")
    assert found["model_version_status"] == [
        {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    ]
    signature = server.json("GET", "/v1/models/mixed/metadata")[1]["metadata"]["signature_def"]["signature_def"]
    inputs = signature["serving_default"]["inputs"]
    assert {name: each["dtype"] for name, each in inputs.items()} == {
        "number": "DT_FLOAT",
        "count": "DT_INT64",
        "word": "DT_STRING",
    }
    assert [axis["size"] for axis in inputs["number"]["tensor_shape"]["dim"]] == ["-1", "1"]
    assert server.json("POST", "/models", {"model_name": "affine", "url": "/opt/ml/models/a/model"})[0] == 409


#: Each protocol's own form of an error, from its document.
_FORMS = {
    "/v1/models/affine:predict": lambda found: found["error"],
    "/predictions/affine": lambda found: (found["code"], found["type"]) and found["message"],
    "/invocations": lambda found: found["error"],
    "/models/affine/invoke": lambda found: found["error"],
    PREDICT: lambda found: found["error"]["status"] and found["error"]["message"],
    "/score": lambda found: found["error"]["code"] and found["error"]["message"],
}
_BAD = {
    "wrong name": ({"instances": [{"z": ROWS[0]}]}, "", 400, 'Input "z" is unknown'),
    "wrong shape": ({"instances": [[1, 2], [3, 4]]}, "", 400, "Input 'x' has shape [2, 2], expected [rows, 4]"),
    "wrong type": ({"instances": [["a", "b", "c", "d"]]}, "", 400, "Input 'x' is FP32: element 0 is \"a\""),
    "ragged": ({"instances": [[1, 2, 3, 4], [1, 2]]}, "", 400, "ragged"),
    "half": (b'{"instances": [[1, 2', "", 400, "The body is not JSON"),
    "empty": (b"", "application/json", 400, "The body is empty"),
    "nothing": ({}, "", 400, "{}"),
}


@pytest.mark.parametrize("path", _FORMS)
@pytest.mark.parametrize("case", _BAD)
def test_bad_bodies_are_refused_in_the_protocols_own_form(server, path, case):
    body, kind, status, message = _BAD[case]
    headers = {"content-type": kind or "application/json"}
    found, document = server.json("POST", path, body, **headers)
    assert found == status
    told = _FORMS[path](document)
    assert message in told or case == "nothing"
    assert told.endswith(".")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/other:predict", 404),
        ("/v1/models/affine/versions/9:predict", 404),
        ("/v1/models/affine/labels/stable:predict", 404),
        ("/predictions/other", 404),
        ("/predictions/affine/9", 404),
        ("/models/other/invoke", 404),
    ],
)
def test_unknown_models_and_versions(server, path, status):
    found, document = server.json("POST", path, {"instances": ROWS})
    assert found == status
    assert "There is no" in json.dumps(document)


@pytest.mark.parametrize("path", ["/predictions/affine", "/invocations", PREDICT, "/score"])
def test_content_types_that_nobody_reads(server, path):
    found, document = server.json("POST", path, b"<x/>", content_type="application/xml")
    assert found == 415
    assert "application/x-npy" in json.dumps(document)
    assert server.ask("POST", path, ROWS, accept="tensor/pt")[0] == 406


def test_a_body_over_the_limit(tmp_path):
    put_model(tmp_path, "affine", "1", affine())
    with run_endpoint(tmp_path, COLDPRESS_MAX_BODY="1000") as server:
        for path in ("/v1/models/affine:predict", "/predictions/affine", "/invocations", "/score"):
            status, document = server.json("POST", path, {"instances": ROWS * 100})
            assert status == 413, document
        with triton_grpc.InferenceServerClient(f"127.0.0.1:{server.grpc_port}") as client:
            tensor = triton_grpc.InferInput("x", [300, 4], "FP32")
            tensor.set_data_from_numpy(np.array(ROWS * 100, np.float32))
            with pytest.raises(triton_grpc.InferenceServerException) as caught:
                client.infer("affine", [tensor])
            assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
