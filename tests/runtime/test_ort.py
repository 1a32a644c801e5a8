"""Models through the lean engine, against the ordinary binding."""

import gc

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from coldpress_runtime.ort import Session, SessionOptions, ValueInfo
from coldpress_runtime.tensor import BY_ONNX, Tensor
from tests.support import models
from tests.support.build import binding, build, lean, same, tensor


def identity(kind, opset=18):
    return build([helper.make_node("Identity", ["x"], ["y"])], {"x": kind}, {"y": kind}, opset=opset)


ARITHMETIC = build(
    [
        helper.make_node("Softmax", ["x"], ["p"]),
        helper.make_node("Erf", ["x"], ["e"]),
        helper.make_node("Mul", ["p", "e"], ["y"]),
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
    ],
    {"x": tensor(T.FLOAT, ("n", "m"))},
    {"y": tensor(T.FLOAT, ("n", "m")), "s": tensor(T.FLOAT, ())},
)


@given(
    hnp.arrays(
        np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6), elements=st.floats(width=32)
    )
)
def test_arithmetic_has_the_bits_of_the_binding(values):
    same(lean(ARITHMETIC, {"x": values}), binding(ARITHMETIC, {"x": values}))


@pytest.mark.models
@pytest.mark.parametrize("name", models.names())
def test_real_models_give_the_bits_of_the_binding(name):
    same(lean(models.fetch(name), models.feeds(name)), binding(models.fetch(name), models.feeds(name)))


@pytest.mark.parametrize("name", ["input:0", "a/b", "7", '{"json": [1]}', "with space", "ünï", "x::y", "'"])
def test_names_may_hold_anything(name):
    kind = tensor(T.FLOAT)
    model = build([helper.make_node("Neg", [name], [name + "!"])], {name: kind}, {name + "!": kind})
    values = np.arange(3, dtype=np.float32)
    same(lean(model, {name: values}), binding(model, {name: values}))


def test_the_signature_tells_names_kinds_types_and_shapes():
    inputs = {
        "scalar": tensor(T.INT64, ()),
        "axes": tensor(T.FLOAT16, (2, "batch", None)),
        "rankless": tensor(T.DOUBLE, None),
        "words": helper.make_sequence_type_proto(tensor(T.STRING, None)),
        "maybe": helper.make_optional_type_proto(helper.make_sequence_type_proto(tensor(T.FLOAT, None))),
        "table": helper.make_map_type_proto(T.INT64, tensor(T.FLOAT, ())),
    }
    nodes = [helper.make_node("Identity", ["scalar"], ["y"])]
    with Session(build(nodes, inputs, {"y": tensor(T.INT64, ())}).SerializeToString()) as session:
        described = {info.name: str(info) for info in session.inputs}
        axes = session.inputs[1]
    assert described == {
        "scalar": "INT64[]",
        "axes": "FP16[2,batch,?]",
        "rankless": "FP64[]",
        "words": "sequence(BYTES[])",
        "maybe": "optional(sequence(FP32[]))",
        "table": "map(INT64, FP32)",
    }
    assert (axes.kind, axes.dtype, axes.shape) == ("tensor", BY_ONNX[T.FLOAT16], (2, "batch", None))
    assert repr(axes) == "ValueInfo('axes', FP16[2,batch,?])"
    assert isinstance(axes, ValueInfo)


@pytest.mark.models
def test_a_declared_size_of_minus_one_is_not_known():
    with Session(str(models.fetch("ocr_cls"))) as session:
        assert session.inputs[0].shape == (None, 3, "?", "?")


def test_metadata_is_the_models_own():
    metadata = {"labels": "café,tea", "empty": "", "author": "somebody"}
    model = build([helper.make_node("Neg", ["x"], ["y"])], {"x": tensor(1)}, {"y": tensor(1)}, metadata=metadata)
    with Session(model.SerializeToString()) as session:
        assert session.metadata == metadata
    with Session(identity(tensor(1)).SerializeToString()) as session:
        assert session.metadata == {}


def test_only_the_outputs_asked_for_are_computed_in_the_order_asked():
    with Session(ARITHMETIC.SerializeToString()) as session:
        x = Tensor.from_flat("FP32", (1, 2), [1.0, 2.0])
        assert list(session.run({"x": x}, ["s"])) == ["s"]
        assert list(session.run({"x": x}, ["s", "y"])) == ["s", "y"]
        assert list(session.run({"x": x})) == ["y", "s"]


def test_an_input_with_a_default_may_be_left_out_or_given():
    default = numpy_helper.from_array(np.array([10.0], np.float32), "b")
    kind = tensor(T.FLOAT, [1])
    model = build([helper.make_node("Add", ["x", "b"], ["y"])], {"x": kind, "b": kind}, {"y": kind}, [default])
    one = np.array([1.0], np.float32)
    assert lean(model, {"x": one})["y"] == [11.0]
    assert lean(model, {"x": one, "b": one})["y"] == [2.0]


@pytest.mark.parametrize("size", [10, 100_000], ids=["copied", "borrowed"])
def test_outputs_outlive_their_session_and_may_be_written_to(size):
    x = np.arange(size, dtype=np.float32)
    session = Session(
        build([helper.make_node("Neg", ["x"], ["y"])], {"x": tensor(1)}, {"y": tensor(1)}).SerializeToString()
    )
    first = session.run({"x": Tensor.from_numpy(x)})["y"].numpy()
    second = session.run({"x": Tensor.from_numpy(x + 1)})["y"].numpy()
    session.close()
    del session
    gc.collect()
    assert np.array_equal(first, -x)
    assert np.array_equal(second, -x - 1)
    first += 1
    assert np.array_equal(first, 1 - x)


@pytest.fixture
def external(tmp_path):
    weights = np.arange(512 * 8, dtype=np.float32).reshape(512, 8)
    model = build(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": tensor(T.FLOAT, (1, 512))},
        {"y": tensor(T.FLOAT, (1, 8))},
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "a model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_external_data_is_found_beside_the_model(external):
    feeds = {"x": np.ones((1, 512), np.float32)}
    same(lean(external, feeds), binding(external, feeds))


@pytest.mark.models
@pytest.mark.parametrize("name", ["magika", "digits_mlp", "silero", "ocr_cls"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_model_in_ort_format_opens_read_or_mapped(name, mapped, tmp_path):
    path = str(tmp_path / "model.ort")
    Session(
        str(models.fetch(name)),
        SessionOptions(optimization="extended", optimized_path=path, config={"session.save_model_format": "ORT"}),
    ).close()
    feeds, how = models.feeds(name), {"optimization": "disabled", "prepacking": not mapped}
    same(lean(path, feeds, mapped=mapped, **how), binding(path, feeds, **how))


@pytest.mark.parametrize("optimization", ["all", "extended", "basic", "disabled"])
@pytest.mark.parametrize("prepacking", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_way_to_open_a_model_gives_its_answer(optimization, prepacking, threads):
    feeds, how = {"x": np.ones((2, 3), np.float32)}, {"optimization": optimization, "prepacking": prepacking}
    same(lean(ARITHMETIC, feeds, threads=threads, **how), binding(ARITHMETIC, feeds, **how))


def test_an_unknown_optimization_is_refused():
    with pytest.raises(ValueError, match="found optimization 'most', expected one of disabled"):
        SessionOptions(optimization="most")


def test_the_library_tells_its_version():
    with Session(identity(tensor(1)).SerializeToString()) as session:
        assert session.library_version == "1.31.1"
