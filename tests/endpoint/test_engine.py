"""Models behind ONNX Runtime's binding: every type in and out, providers that are not there, and refusals in words."""

import numpy as np
import pytest

from coldpress_endpoint.engine import Engine, has_open_lengths, is_lost
from coldpress_runtime.errors import LoadError, RunError
from tests.support.tiny import MODELS


def _opened(tmp_path, name, *providers):
    path = tmp_path / "model.onnx"
    path.write_bytes(MODELS[name]().SerializeToString())
    return Engine(str(path), providers or ("cpu",))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bool", [[True, False]]),
        ("bytes", [["a", "ö"]]),
        ("fp16", [[0.5, 65504]]),
        ("fp32", [[0.1, -2]]),
        ("fp64", [[0.1, 1e300]]),
        ("bf16", [[1.5, -2]]),
        ("int8", [[-128, 127]]),
        ("int64", [[-(2**63), 2**63 - 1]]),
        ("uint8", [[0, 255]]),
        ("bf16", np.zeros((0, 2))),
    ],
)
def test_every_type_comes_back_as_it_went_in(tmp_path, name, values):
    engine = _opened(tmp_path, name)
    given = np.array(values, engine.inputs[0].info.dtype.numpy)
    found = engine.run({"x": given})["y"]
    assert found.dtype == given.dtype
    assert found.tolist() == given.tolist()


def test_bfloat16_is_rounded_as_coldpress_runtime_rounds_it(tmp_path):
    assert _opened(tmp_path, "bf16").run({"x": np.array([[1.1, 3.14159]], np.float32)})["y"].tolist() == [
        [1.1015625, 3.140625]
    ]


def test_sequences_and_maps(tmp_path):
    found = _opened(tmp_path, "sequences").run({"parts": [np.ones(1, np.float32), np.zeros(2, np.float32)]})
    assert found["joined"].tolist() == [1, 0, 0]
    assert [part.tolist() for part in found["same"]] == [[1], [0, 0]]
    assert _opened(tmp_path, "counts").run({"counts": {"b": 2.0}})["y"].tolist() == [[0, 2]]
    found = _opened(tmp_path, "zipmap").run({"scores": np.array([[1, 2]], np.float32)}, ["by_class"])
    assert found == {"by_class": [{3: 1.0, 5: 2.0}]}


def test_the_signature_has_the_protocols_words(tmp_path):
    engine = _opened(tmp_path, "two_inputs")
    assert [each[:3] for each in engine.inputs] == [("in/left:0", "FP32", (-1, -1)), ("right", "FP32", (-1, -1))]
    assert [each[:3] for each in _opened(tmp_path, "scalar").inputs] == [("x", "INT64", ())]
    zipmap = _opened(tmp_path, "zipmap").outputs[1]
    assert (zipmap.datatype, zipmap.shape, str(zipmap.info)) == ("BYTES", (-1,), "sequence(map(INT64, FP32))")


def test_providers_that_are_not_there_are_passed_over(tmp_path):
    assert _opened(tmp_path, "fp32", "tensorrt", "cuda", "cpu").provider == "cpu"


def test_lengths_that_are_open_are_seen(tmp_path):
    assert has_open_lengths(_opened(tmp_path, "two_inputs").inputs)
    assert not has_open_lengths(_opened(tmp_path, "mlp").inputs)
    assert not has_open_lengths(_opened(tmp_path, "scalar").inputs)


def test_no_provider_that_is_there_is_an_error_in_words(tmp_path):
    with pytest.raises(LoadError, match="none of the providers tensorrt is in this build"):
        _opened(tmp_path, "fp32", "tensorrt")


def test_a_file_that_is_no_model_is_an_error_without_its_path(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(LoadError) as caught:
        Engine(str(tmp_path / "model.onnx"))
    assert str(tmp_path) not in str(caught.value)
    assert "model.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "inputs", "said"),
    [
        ("mlp", {"x": np.zeros((1, 63), np.float32)}, r"Input 'x' is FP32\[1,63\], expected FP32\[batch,64\]"),
        ("mlp", {"x": np.zeros((1, 64))}, "Input 'x' is FP64|data type"),
        ("mlp", {}, "Input 'x' is missing"),
        ("lookup", {"index": np.array([99])}, "cannot run on these inputs"),
    ],
)
def test_what_the_model_refuses_is_said_in_a_sentence(tmp_path, name, inputs, said):
    with pytest.raises(RunError, match=said) as caught:
        _opened(tmp_path, name).run(inputs)
    assert "onnxruntime_src" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=x", True),
        ("CUDNN failure 4000: CUDNN_STATUS_INTERNAL_ERROR", True),
        ("CUDA failure 2: out of memory ; GPU=0", False),
        ("Failed to allocate memory for requested buffer of size 400", False),
        ("indices element out of data bounds, idx=99", False),
    ],
)
def test_a_gpu_that_failed_is_told_from_a_request_that_did(message, lost):
    assert is_lost(message) is lost
