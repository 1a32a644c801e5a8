"""NVIDIA's own client, unchanged, over HTTP."""

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.support.http import serving
from tests.support.tiny import open_service

_VALUES = {
    "f": ("FP32", np.array([1.5, -np.inf, 3.4e38], np.float32)),
    "i": ("INT64", np.array([-(2**63), 0, 2**63 - 1], np.int64)),
    "s": ("BYTES", np.array(["", "grün", 'a"b\n'], object)),
    "h": ("FP16", np.array([0.5, 65504, -2], np.float16)),
    "b": ("BOOL", np.array([True, False, True])),
}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    service = open_service(tmp_path_factory.mktemp("bundle") / "b", "every_type", name="a/tiny:model 1")
    with serving(service) as address:
        client = triton.InferenceServerClient(address)
        yield client
        client.close()


@pytest.fixture(scope="module")
def name():
    return "a/tiny:model 1"


def _inputs(*, binary):
    inputs = []
    for name, (dtype, values) in _VALUES.items():
        tensor = triton.InferInput(name, list(values.shape), dtype)
        # The client itself refuses FP16 in JSON.
        tensor.set_data_from_numpy(values, binary_data=binary or dtype == "FP16")
        inputs.append(tensor)
    return inputs


def test_health_and_metadata(client, name):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(name)
    assert client.is_model_ready(name, model_version="1")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata(name)
    assert metadata["inputs"][2] == {"name": "s", "datatype": "BYTES", "shape": [-1]}


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
@pytest.mark.parametrize("version", ["", "1"])
def test_every_type_goes_through_and_comes_back(client, name, binary_in, binary_out, version):
    outputs = None
    if binary_out is not None:
        outputs = [triton.InferRequestedOutput(key.upper(), binary_data=binary_out) for key in _VALUES]
    inputs = _inputs(binary=binary_in)
    if not binary_in:
        # Its JSON writer has no word for infinity: a finite value instead.
        values = np.array([1.5, -2.25, 3.4e38], np.float32)
        inputs[0].set_data_from_numpy(values, binary_data=False)
    result = client.infer(name, inputs, outputs=outputs, request_id="seven", model_version=version)
    assert result.get_response()["id"] == "seven"
    for key, (dtype, sent) in _VALUES.items():
        came = result.as_numpy(key.upper())
        if dtype == "BYTES":
            came = [item.decode() if isinstance(item, bytes) else item for item in came]
            assert came == sent.tolist()
        else:
            expected = values if key == "f" and not binary_in else sent
            np.testing.assert_array_equal(came, expected)
            assert came.dtype == sent.dtype


def test_one_output_of_several(client, name):
    outputs = [triton.InferRequestedOutput("I", binary_data=True)]
    result = client.infer(name, _inputs(binary=True), outputs=outputs)
    assert [output["name"] for output in result.get_response()["outputs"]] == ["I"]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests(client, name, algorithm):
    result = client.infer(name, _inputs(binary=True), request_compression_algorithm=algorithm)
    np.testing.assert_array_equal(result.as_numpy("I"), _VALUES["i"][1])


def test_errors_reach_the_caller_as_sentences(client, name):
    with pytest.raises(InferenceServerException, match="Input 'f' is missing"):
        client.infer(name, _inputs(binary=True)[1:])
    wrong = triton.InferInput("f", [3], "FP64")
    wrong.set_data_from_numpy(np.zeros(3))
    with pytest.raises(InferenceServerException, match="Input 'f' has datatype \"FP64\", expected FP32"):
        client.infer(name, [wrong, *_inputs(binary=True)[1:]])
    with pytest.raises(InferenceServerException, match="this function serves model"):
        client.infer("other", _inputs(binary=True))
    client.infer(name, _inputs(binary=True))
