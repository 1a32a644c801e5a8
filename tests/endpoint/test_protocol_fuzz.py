"""Whatever comes in, each protocol answers: what its sender can mend is a 4xx in its own form, and nothing is a 500."""

import json

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2, service_pb2_grpc

from tests.support.endpoint_server import affine, expected, put_model, run_endpoint, two_inputs
from tests.support.tiny import every_type

PREDICT = "/vertex/predict"
_PATHS = [
    f"{path}"
    for name in ("affine", "mixed", "every")
    for path in (
        f"/v1/models/{name}:predict",
        f"/v1/models/{name}:classify",
        f"/v1/models/{name}:regress",
        f"/predictions/{name}",
        f"/models/{name}/invoke",
    )
] + ["/invocations", "/score", PREDICT, "/models"]
_TYPES = [
    "",
    "application/json",
    "application/jsonlines",
    "text/csv",
    "application/x-npy",
    "application/octet-stream",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "application/json;json-header-size=7",
    "application/octet-stream;json-header-size=x",
    "text/plain; charset=latin-1",
    "APPLICATION/JSON",
    ";;;",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, model in (("affine", affine()), ("mixed", two_inputs()), ("every", every_type())):
        put_model(folder, name, "1", model)
    with run_endpoint(folder, AIP_PREDICT_ROUTE=PREDICT, COLDPRESS_MODEL="affine") as server:
        yield server


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


_NAMES = st.sampled_from(["x", "z", "number", "count", "word", "f", "i", "s", "h", "b", "data", "b64", ""])
_LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just({"b64": "AAA="}), st.just(1e999)
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12
)
_KEYS = st.sampled_from([
    "instances", "inputs", "examples", "context", "parameters", "signature_name", "data", "input_data", "x",
    "columns", "index", "model_name", "outputs", "id",
])  # fmt: skip
_TENSORS = st.lists(
    st.fixed_dictionaries({
        "name": _NAMES | _LEAVES,
        "shape": st.lists(st.integers(-1, 2**64), max_size=3) | _VALUES,
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES", "FP16", "BOOL", "FP9"]) | _LEAVES,
        "data": _VALUES,
    }),
    max_size=3,
)  # fmt: skip
_DOCUMENTS = _VALUES | st.dictionaries(_KEYS, _VALUES | _TENSORS, min_size=1, max_size=3)


def _is_told(status, body):
    """A refusal says something in one of the forms that there are."""
    document = json.loads(body)
    told = document.get("message") or document["error"]
    return 400 <= status < 500 and (told if isinstance(told, str) else told["message"])


@given(path=st.sampled_from(_PATHS), document=_DOCUMENTS, kind=st.sampled_from(_TYPES[:3]))
@settings(max_examples=300)
def test_any_document(server, path, document, kind):
    body = json.dumps(document).encode()
    status, _, text = server.ask("POST", path, body, content_type=kind)
    assert status == 200 or _is_told(status, text), (status, text, "".join(server.log[-12:]))


@given(
    path=st.sampled_from(_PATHS),
    body=st.binary(max_size=80)
    | st.text("0123456789,.\n\"'-naif", max_size=60).map(str.encode)
    | st.binary(max_size=40).map(lambda tail: b"\x93NUMPY\x01\x00" + tail)
    | st.tuples(st.text("(), 0123456789", max_size=20), st.binary(max_size=33)).map(
        lambda parts: (
            b"\x93NUMPY\x01\x00v\x00"
            + f"{{'descr': '<f4', 'fortran_order': False, 'shape': {parts[0]}, }}".ljust(117).encode()[:117]
            + b"\n"
            + parts[1]
        )
    ),
    kind=st.sampled_from(_TYPES),
    accept=st.sampled_from(["", "*/*", "text/csv", "application/x-npy", "application/x-npz", "q=;,;q=nan", "a/b"]),
)
@settings(max_examples=400)
def test_any_bytes_of_any_type(server, path, body, kind, accept):
    status, _, text = server.ask("POST", path, body, content_type=kind, accept=accept)
    assert status == 200 or _is_told(status, text), (status, text, "".join(server.log[-12:]))


@given(
    parts=st.lists(
        st.tuples(
            st.sampled_from(["x", "number", "count", "word", "data", ""]),
            st.sampled_from(_TYPES),
            st.binary(max_size=40),
        ),
        max_size=3,
    ),
    cut=st.integers(0, 40),
    name=st.sampled_from(["affine", "mixed"]),
)
@settings(max_examples=150)
def test_any_form(server, parts, cut, name):
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\nContent-Type: %b\r\n\r\n%b\r\n'
        % (field.encode(), kind.encode(), content)
        for field, kind, content in parts
    )
    whole = body + b"--b--\r\n"
    status, _, text = server.ask(
        "POST", f"/predictions/{name}", whole[: len(whole) - cut], content_type="multipart/form-data; boundary=b"
    )
    assert status == 200 or _is_told(status, text), (status, text, "".join(server.log[-12:]))


@given(content=st.binary(min_size=16, max_size=160).map(lambda data: data[: len(data) // 16 * 16]))
def test_a_file_in_a_form_arrives_byte_by_byte(server, content):
    body = b'--b\r\nContent-Disposition: form-data; name="data"; filename="f"\r\n\r\n' + content + b"\r\n--b--\r\n"
    _, _, direct = server.ask("POST", "/predictions/affine", content, content_type="application/octet-stream")
    kind = "multipart/form-data; boundary=b"
    body = body.replace(b'"f"\r\n', b'"f"\r\nContent-Type: application/octet-stream\r\n', 1)
    assert server.ask("POST", "/predictions/affine", body, content_type=kind)[2] == direct
    rows = np.frombuffer(content, "<f4").reshape(-1, 4)
    if np.isfinite(rows).all() and np.abs(rows).max() < 1e6:
        np.testing.assert_allclose(json.loads(direct)["predictions"], expected(rows), rtol=1e-5, atol=1e-2)


_CONTENTS = st.fixed_dictionaries({}, optional={
    "bool_contents": st.lists(st.booleans(), max_size=4),
    "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    "int64_contents": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=4),
    "uint64_contents": st.lists(st.integers(0, 2**64 - 1), max_size=4),
    "fp32_contents": st.lists(st.floats(width=32), max_size=8),
    "fp64_contents": st.lists(st.floats(), max_size=4),
    "bytes_contents": st.lists(st.binary(max_size=4), max_size=4),
})  # fmt: skip
_INPUTS = st.fixed_dictionaries(
    {
        "name": _NAMES,
        "datatype": st.sampled_from(["FP32", "INT64", "BYTES", "FP16", "BOOL", "UINT8", "FP9", ""]),
        "shape": st.lists(st.integers(-1, 4) | st.integers(-(2**63), 2**63 - 1), max_size=3),
    },
    optional={"contents": _CONTENTS},
)
_REQUESTS = st.fixed_dictionaries(
    {
        "model_name": st.sampled_from(["affine", "mixed", "every", "other", ""]),
        "model_version": st.sampled_from(["", "1", "9"]),
        "inputs": st.lists(_INPUTS, max_size=3),
        "outputs": st.lists(st.fixed_dictionaries({"name": _NAMES | st.just("y")}), max_size=2),
        "raw_input_contents": st.lists(st.binary(max_size=32), max_size=3),
    }
)
_MENDABLE = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@given(request=_REQUESTS)
@settings(max_examples=300)
def test_any_grpc_request(stub, request):
    call = stub.ModelInfer.future(service_pb2.ModelInferRequest(**request), timeout=60)
    if call.code() is not grpc.StatusCode.OK:
        assert call.code() in _MENDABLE, call.details()
        assert call.details().endswith(".")


@given(message=st.binary(max_size=60))
@settings(max_examples=100)
def test_any_bytes_as_a_message(server, message):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            ask(message, timeout=60)
    assert caught.value.code() in _MENDABLE


def test_typed_contents_that_their_datatype_cannot_hold(stub):
    request = service_pb2.ModelInferRequest(model_name="affine")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    tensor.contents.int_contents.extend([1, 2, 3, 4])
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request)
    assert caught.value.details() == "Input 'x' is FP32: its contents are in int_contents, expected fp32_contents."
    tensor.contents.Clear()
    tensor.contents.fp32_contents.extend([1, float("nan"), float("inf"), 4])
    assert np.isnan(np.frombuffer(stub.ModelInfer(request).raw_output_contents[0], "<f4")).all()
