import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from coldpress.errors import ModelError, SamplesError
from coldpress.reference import Reference, compare, compare_outputs


@pytest.fixture
def identity(tmp_path):
    def build(element, shape=None):
        x, y = (helper.make_tensor_value_info(n, element, shape) for n in "xy")
        graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        onnx.helper.set_model_props(model, {"charset": "äß"})
        onnx.save(model, tmp_path / "identity.onnx")
        return Reference(tmp_path / "identity.onnx")

    return build


def test_the_signature_tells_a_scalar_from_an_unknown_rank(identity):
    assert identity(TensorProto.FLOAT, []).signature.inputs[0].shape == ()
    assert identity(TensorProto.FLOAT, None).signature.inputs[0].shape is None
    port = identity(TensorProto.FLOAT, ["N", None, 3]).signature.inputs[0]
    assert (port.shape, port.expected) == (("N", None, 3), "FP32 [N, ?, 3]")


def test_metadata_is_read(identity):
    assert identity(TensorProto.FLOAT).metadata == {"charset": "äß"}


@pytest.mark.parametrize(
    ("element", "array"),
    [
        (TensorProto.BFLOAT16, np.array([1.5, -2], ml_dtypes.bfloat16)),
        (TensorProto.FLOAT8E4M3FN, np.array([1.5, -2], ml_dtypes.float8_e4m3fn)),
        (TensorProto.FLOAT16, np.array([1.5, -2], np.float16)),
        (TensorProto.STRING, np.array(["a", "ü"], object)),
        (TensorProto.BOOL, np.array(True)),
        (TensorProto.INT64, np.zeros((0, 3), np.int64)),
    ],
)
def test_every_element_type_comes_back_as_it_went_in(identity, element, array):
    got = identity(element).run({"x": array})["y"]
    assert compare(array, got).equal, (array, got)


def test_what_onnxruntime_cannot_open_or_run_is_one_sentence(identity, tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelError, match=r"cannot open bad\.onnx"):
        Reference(tmp_path / "bad.onnx")
    with pytest.raises(SamplesError, match=r"identity\.onnx does not run on these inputs"):
        identity(TensorProto.FLOAT, [3]).run({"x": np.zeros(2, np.float32)})


def test_a_run_that_takes_too_long_is_stopped(tmp_path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Add", ["v", "v"], ["v2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v2", TensorProto.FLOAT, [1]),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
        "g",
        [
            helper.make_tensor_value_info("n", TensorProto.INT64, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "l.onnx")
    reference = Reference(tmp_path / "l.onnx")
    feeds = {"n": np.array(1 << 60), "x": np.ones(1, np.float32)}
    with pytest.raises(SamplesError, match=r"longer than 0\.2 s"):
        reference.run(feeds, timeout_s=0.2)
    assert reference.run(feeds | {"n": np.array(3)})["y"] == [8]


def test_equal_means_bit_for_bit():
    nan = np.array([np.nan, 1], np.float32)
    assert compare(nan, nan.copy()).equal
    zero = compare(np.float32([0.0]), np.float32([-0.0]))
    assert (zero.equal, zero.max_abs, zero.within(0)) == (False, 0.0, True)
    assert compare({"a": [np.float32(1), "x"]}, {"a": [np.float32(1), "x"]}).equal


def test_how_far_is_measured_against_the_tensors_own_size():
    got = compare(np.array([100.0, 0.0, np.inf]), np.array([101.0, 0.5, np.inf]))
    assert (got.equal, got.max_abs, got.max_rel, got.same_nan) == (False, 1.0, 0.01, True)
    assert got.within(0.01)
    assert not got.within(0.009)
    assert got.cosine == pytest.approx(0.9999877, abs=1e-6)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.array(["a"], object), np.array(["b"], object)),
        ({"a": 1.0}, {"b": 1.0}),
        ([1.0], [1.0, 2.0]),
        (None, np.zeros(1)),
        ("a", "b"),
    ],
)
def test_other_shapes_types_keys_and_texts_are_never_near(a, b):
    got = compare(a, b)
    assert got.structure
    assert not got.equal
    assert not got.within(1e9)


def test_nan_where_there_was_none_is_not_near():
    got = compare(np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    assert not got.same_nan
    assert not got.within(1)


def test_a_missing_output_is_a_difference():
    assert compare_outputs({"a": np.zeros(1), "b": np.zeros(1)}, {"a": np.zeros(1)}).structure
    worst = compare_outputs({"a": np.ones(1), "b": np.ones(1)}, {"a": np.ones(1), "b": np.full(1, 1.5)})
    assert (worst.equal, worst.max_abs) == (False, 0.5)


def test_a_type_that_no_request_can_hold_is_refused_by_name(tmp_path):
    values = [helper.make_tensor_value_info(n, t, [2]) for n, t in (("x", TensorProto.INT4), ("y", TensorProto.FLOAT))]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], "g", values[:1], values[1:]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"'x' of type tensor\(int4\).*Cast"):
        Reference(tmp_path / "m.onnx")
