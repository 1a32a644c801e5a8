"""Values of every kind through the lean engine, against the ordinary binding."""

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.errors import RunError
from coldpress_runtime.ort import Session
from coldpress_runtime.tensor import DTYPES, Tensor
from tests.support import models
from tests.support.build import alike, binding, build, lean, same, tensor

NUMERIC = [dtype for dtype in DTYPES.values() if dtype.code]


def identity(kind, opset=18):
    return build([helper.make_node("Identity", ["x"], ["y"])], {"x": kind}, {"y": kind}, opset=opset)


@pytest.mark.parametrize("dtype", NUMERIC, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0, 3), (2, 3), (1, 2, 1, 3)], ids=str)
def test_every_numeric_type_and_shape_goes_through_unchanged(dtype, shape):
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype.numpy)
    model = identity(tensor(dtype.onnx, None))
    same(lean(model, {"x": values}), binding(model, {"x": values}))


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 2)], ids=str)
def test_strings_go_through_unchanged(shape):
    words = ["", "é", "a\0b", "日本"]
    values = np.array(words[: int(np.prod(shape, dtype=int))], object).reshape(shape)
    tensors = Tensor.from_numpy(values)
    with Session(identity(tensor(T.STRING, None)).SerializeToString()) as session:
        assert session.run({"x": tensors})["y"] == tensors


def test_bytes_that_are_no_text_go_through_strings_unchanged():
    given_ = Tensor("BYTES", (2,), [b"\xff\x00\xfe", b"\x00"])
    with Session(identity(tensor(T.STRING)).SerializeToString()) as session:
        assert session.run({"x": given_})["y"] == given_


@pytest.mark.parametrize(
    "name",
    ["BF16", "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "INT4", "UINT4"],
)
def test_types_that_the_binding_cannot_carry_go_through_unchanged(name):
    dtype = DTYPES[name]
    values = Tensor.from_flat(dtype, (2, 3), [0, 1, 2, 3, 4, 5])
    if dtype.bits == 4:  # Identity has no 4-bit kernel; a cast there and back does
        kind, wide = tensor(dtype.onnx, None), helper.make_node("Cast", ["x"], ["w"], to=T.FLOAT)
        model = build([wide, helper.make_node("Cast", ["w"], ["y"], to=dtype.onnx)], {"x": kind}, {"y": kind}, opset=21)
        model.ir_version = 10
    else:
        model = identity(tensor(dtype.onnx, None), opset=19)
    with Session(model.SerializeToString()) as session:
        assert session.run({"x": values})["y"] == values


@pytest.mark.models
def test_a_classifier_gives_its_probabilities_as_a_sequence_of_maps():
    with Session(str(models.fetch("digits_rf_zipmap"))) as session:
        found = session.run({"X": Tensor.from_numpy(models.feeds("digits_rf_zipmap")["X"])}, ["output_probability"])
        kind = session.outputs[1]
    assert str(kind) == "sequence(map(INT64, FP32))"
    assert len(found["output_probability"]) == 8
    assert set(found["output_probability"][0]) == set(range(10))


def test_a_map_is_an_input_too():
    kind = helper.make_map_type_proto(T.STRING, tensor(T.FLOAT, ()))
    node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", string_vocabulary=["a", "b", "c"])
    model = build([node], {"x": kind}, {"y": tensor(T.FLOAT, (1, 3))})
    feeds = {"x": {"c": 3.0, "a": 1.5}}
    same(lean(model, feeds), binding(model, feeds))
    with Session(model.SerializeToString()) as session:
        assert str(session.inputs[0]) == "map(BYTES, FP32)"
        with pytest.raises(RunError, match=r"'x' is no map\(BYTES, FP32\)"):
            session.run({"x": {"a": "b"}})


def test_a_map_with_whole_numbers_for_keys_is_an_input_too():
    kind = helper.make_map_type_proto(T.INT64, tensor(T.FLOAT, ()))
    node = helper.make_node("DictVectorizer", ["x"], ["y"], domain="ai.onnx.ml", int64_vocabulary=[7, 5])
    model = build([node], {"x": kind}, {"y": tensor(T.FLOAT, (1, 2))})
    same(lean(model, {"x": {5: 0.5}}), binding(model, {"x": {5: 0.5}}))


def sequence_model(element):
    kind = helper.make_sequence_type_proto(tensor(element, None))
    nodes = [helper.make_node("SequenceInsert", ["s", "x"], ["t"]), helper.make_node("SequenceLength", ["t"], ["n"])]
    return build(nodes, {"s": kind, "x": tensor(element, None)}, {"t": kind, "n": tensor(T.INT64, ())})


@pytest.mark.parametrize("dtype", [*NUMERIC, DTYPES["BYTES"]], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("length", [0, 1, 3])
def test_sequences_of_every_type_go_in_and_out_the_empty_one_too(dtype, length):
    if dtype.name == "BYTES":
        items = [np.array(["a", "é"], object)] * length
        last = np.array(["z"], object)
    else:
        items = [np.ones((2, place), dtype.numpy) for place in range(length)]
        last = np.zeros(1, dtype.numpy)
    model = sequence_model(dtype.onnx)
    found = lean(model, {"s": items, "x": last})
    alike(found["t"], [*items, last])
    if dtype.name != "BYTES" or length:  # the binding refuses an empty list for strings
        same(found, binding(model, {"s": items, "x": last}))


def optional_model():
    kind = helper.make_optional_type_proto(tensor(T.FLOAT, ["n"]))
    then = helper.make_graph(
        [helper.make_node("OptionalGetElement", ["x"], ["a"])],
        "then",
        [],
        [helper.make_tensor_value_info("a", 1, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Constant", [], ["b"], value_floats=[-1.0])],
        "else",
        [],
        [helper.make_tensor_value_info("b", 1, None)],
    )
    nodes = [
        helper.make_node("OptionalHasElement", ["x"], ["has"]),
        helper.make_node("If", ["has"], ["y"], then_branch=then, else_branch=other),
        helper.make_node("Identity", ["x"], ["same"]),
    ]
    return build(nodes, {"x": kind}, {"has": tensor(T.BOOL, ()), "y": tensor(T.FLOAT, None), "same": kind}, opset=16)


@pytest.mark.parametrize("value", [None, np.array([2.0, 3.0], np.float32)], ids=["empty", "full"])
def test_an_optional_may_be_empty_on_the_way_in_and_out(value):
    found = lean(optional_model(), {"x": value})
    assert bool(found["has"]) is (value is not None)
    alike(found["same"], value)
    alike(found["y"], np.array([-1.0], np.float32) if value is None else value)


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [DTYPES[name] for name in ("FP64", "FP32", "INT64", "FP16")], ids=lambda d: d.name)
def test_a_buffer_that_starts_anywhere_is_read_right(dtype, offset):
    values = np.arange(1, 40).astype(dtype.numpy)
    shifted = memoryview(bytes(offset) + values.tobytes())[offset:]
    with Session(identity(tensor(dtype.onnx)).SerializeToString()) as session:
        assert session.run({"x": Tensor(dtype, values.shape, shifted)})["y"].numpy().tobytes() == values.tobytes()
