"""A stored weight is, in the engine, what ``decode`` says, bit for bit, and costs nothing at run time."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from coldpress.encodings.fp16_storage import Fp16Storage
from coldpress.encodings.menu import ENCODINGS, menu, overhead, rewrite
from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from tests.support.graphs import alike, answers, graph, model, node, same_bits, tensor, value

RNG = np.random.default_rng(0)
STORED = ["fp16-storage", "int8-storage", "int8-storage-b32", "int6-storage", "int4-storage"]
MUL = node("Mul", ["x", "w"], ["y"])


def weight(*shape):
    return tensor("w", RNG.standard_normal(shape) * 0.1)


def matmul(**options):
    return model(
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", ("n", 96))],
        [value("y", ("n", "k"))],
        [weight(96, 64)],
        **options,
    )


def conv(**options):
    nodes = [node("Conv", ["x", "w"], ["y"])]
    return model(
        nodes, [value("x", ("n", 16, 8, 8))], [value("y", ("n", "k", "h", "v"))], [weight(32, 16, 3, 3)], **options
    )


def lstm(**options):
    nodes = [node("LSTM", ["x", "w", "r"], ["y"], hidden_size=16, direction="bidirectional")]
    second = numpy_helper.from_array(RNG.standard_normal((2, 64, 16)).astype(np.float32), "r")
    return model(
        nodes, [value("x", ("t", 1, 24))], [value("y", ("t", 2, 1, 16))], [weight(2, 64, 24), second], **options
    )


def deconv(**options):
    nodes = [node("ConvTranspose", ["x", "w"], ["y"])]
    return model(
        nodes, [value("x", ("n", 64, 4, 4))], [value("y", ("n", "k", "h", "v"))], [weight(64, 24, 2, 2)], **options
    )


def batched(**options):
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, [value("x", (3, "n", 40))], [value("y", (3, "n", "k"))], [weight(3, 40, 24)], **options)


def addend(**options):
    return model([MUL], [value("x", (1, 97, 44))], [value("y", (1, 97, 44))], [weight(1, 97, 44)], **options)


def branch(**options):
    inner = graph([node("MatMul", ["x", "w"], ["a"])], [], [value("a", ("n", "k"))], [weight(96, 64)])
    other = graph(
        [node("MatMul", ["x", "v"], ["b"])], [], [value("b", ("n", "k"))], [tensor("v", RNG.random((96, 64)))]
    )
    nodes = [node("If", ["c"], ["y"], then_branch=inner, else_branch=other)]
    inputs = [value("x", ("n", 96)), value("c", (), TensorProto.BOOL)]
    return model(nodes, inputs, [value("y", ("n", "k"))], **options)


def feeds(made):
    given = {}
    for declared in made.graph.input:
        dims = [dim.dim_value or 3 for dim in declared.type.tensor_type.shape.dim]
        kind = declared.type.tensor_type.elem_type
        given[declared.name] = np.array(True) if kind == TensorProto.BOOL else RNG.random(dims, np.float32)
    return given


def all_in(made, encoding):
    """Encode every site; return the new model and what each weight is then."""
    draft = Draft(made)
    tensors = {t.name: t for _, g in graphs(draft.proto.graph) for t in g.initializer}
    chosen = ENCODINGS[encoding]
    values = {}
    for site in find_sites(draft):
        encoded = chosen.encode(draft.array(tensors[site.name]), site)
        assert encoded.nbytes == chosen.nbytes(site)
        values[site.name] = chosen.decode(encoded, site)
        assert values[site.name].shape == site.shape
        assert values[site.name].dtype == np.float32
    assert values
    return rewrite(made, dict.fromkeys(values, encoding)), values


def graphs(found, depth=0):
    yield depth, found
    for each in found.node:
        for attribute in each.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g, depth + 1)


def opened(made, folder):
    """Return the model as the engine has it after its basic optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "opened.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "opened.onnx")


def replaced(made, values):
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    for _, g in graphs(copy.graph):
        for each in g.initializer:
            if each.name in values:
                each.CopyFrom(numpy_helper.from_array(values[each.name], each.name))
    return copy


@pytest.mark.parametrize("encoding", STORED)
@pytest.mark.parametrize("build", [matmul, conv, lstm, deconv, batched, addend, branch])
@pytest.mark.parametrize("opset", [7, 11, 17, 21])
def test_the_engine_folds_it_to_what_decode_says(build, encoding, opset, tmp_path):
    made = build(opset=opset, ir=4 if opset < 17 else 8)
    before = made.SerializeToString()
    after, values = all_in(made, encoding)
    assert made.SerializeToString() == before
    onnx.checker.check_model(after)
    assert after.ByteSize() < made.ByteSize()
    held = {t.name: numpy_helper.to_array(t) for _, g in graphs(opened(after, tmp_path).graph) for t in g.initializer}
    left = [n.op_type for _, g in graphs(opened(after, tmp_path).graph) for n in g.node]
    assert left == [n.op_type for _, g in graphs(opened(made, tmp_path).graph) for n in g.node]
    for name, array in values.items():
        assert same_bits(held[name], array)
    given = feeds(made)
    assert same_bits(answers(after, given), answers(replaced(made, values), given))
    for one, other in zip(answers(after, given, optimized=False), answers(after, given), strict=True):
        assert alike(one, other)


@pytest.mark.parametrize("encoding", STORED)
@pytest.mark.parametrize("ids", [[[0, 5, 599], [-1, -600, 5]], 7, [], [[]]], ids=["matrix", "one", "none", "empty row"])
def test_rows_of_a_table_are_looked_up_before_they_are_expanded(encoding, ids, tmp_path):
    ids = np.array(ids, np.int64)
    shape = tuple(f"d{n}" for n in range(ids.ndim))
    nodes = [node("Gather", ["w", "ids"], ["y"])]
    made = model(nodes, [value("ids", shape, TensorProto.INT64)], [value("y", None)], [weight(600, 36)])
    after, values = all_in(made, encoding)
    (answer,) = answers(after, {"ids": ids})
    assert same_bits(answer, values["w"][ids])
    assert same_bits(answers(after, {"ids": ids}, optimized=False), [answer])
    largest = max(numpy_helper.to_array(t).nbytes for t in opened(after, tmp_path).graph.initializer)
    assert largest <= 600 * 36 * 2


@pytest.mark.parametrize("encoding", STORED)
def test_rows_read_inside_a_branch_and_outside(encoding):
    ids = value("ids", ("n",), TensorProto.INT64)
    inner = graph([node("Gather", ["w", "ids"], ["a"])], [], [value("a", None)])
    other = graph([node("Identity", ["outside"], ["b"])], [], [value("b", None)])
    nodes = [node("Gather", ["w", "ids"], ["outside"]), node("If", ["c"], ["y"], then_branch=inner, else_branch=other)]
    made = model(
        nodes, [ids, value("c", (), TensorProto.BOOL)], [value("y", None), value("outside", None)], [weight(600, 32)]
    )
    after, values = all_in(made, encoding)
    given = {"ids": np.array([3, 599, -1])}
    for condition in (True, False):
        for answer in answers(after, given | {"c": np.array(condition)}):
            assert same_bits(answer, values["w"][given["ids"]])


def test_a_table_that_is_also_the_output_projection_is_stored_once_and_read_by_both():
    nodes = [
        node("Gather", ["w", "ids"], ["h"]),
        node("Transpose", ["w"], ["t"], perm=[1, 0]),
        node("MatMul", ["h", "t"], ["y"]),
    ]
    made = model(nodes, [value("ids", ("n",), TensorProto.INT64)], [value("y", None)], [weight(600, 32)])
    (site,) = find_sites(Draft(made))
    assert (site.role, site.axis) == ("other", 0)
    given = {"ids": np.array([1, 2, 3])}
    for encoding in STORED:
        after, values = all_in(made, encoding)
        assert len([t for t in after.graph.initializer if numpy_helper.to_array(t).size >= 600 * 32 // 4]) <= 2
        assert alike(answers(after, given)[0], values["w"][1:4] @ values["w"].T)


@pytest.mark.parametrize("encoding", STORED)
@pytest.mark.parametrize("build", [matmul, conv, lstm, branch])
def test_the_size_of_the_file_is_predicted(build, encoding):
    made = build()
    after, values = all_in(made, encoding)
    sites = [site for site in find_sites(Draft(made)) if site.name in values]
    predicted = made.ByteSize() + overhead(encoding, "matmul").once
    for site in sites:
        predicted += ENCODINGS[encoding].nbytes(site) - site.nbytes + overhead(encoding, site.role).each
    assert abs(after.ByteSize() - predicted) < 60 * len(sites) + 100


def test_a_weight_read_twice_is_stored_once():
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "w"], ["y"])]
    made = model(nodes, [value("x", ("n", 64))], [value("y", None)], [weight(64, 64)])
    after, _ = all_in(made, "int8-storage")
    assert after.ByteSize() < 64 * 64 + 1000


def test_what_two_weights_need_in_common_is_stored_once():
    nodes = [node("MatMul", ["x", "w"], ["h"]), node("MatMul", ["h", "v"], ["y"])]
    second = numpy_helper.from_array(RNG.standard_normal((64, 64)).astype(np.float32), "v")
    made = model(nodes, [value("x", ("n", 64))], [value("y", None)], [weight(64, 64), second])
    after, _ = all_in(made, "int4-storage")
    assert sum(t.data_type == TensorProto.FLOAT and list(t.dims) == [256] for t in after.graph.initializer) == 1


def test_nothing_but_what_was_chosen_changes():
    second = numpy_helper.from_array(RNG.standard_normal((64, 64)).astype(np.float32), "v")
    nodes = [node("MatMul", ["x", "w"], ["q"]), node("MatMul", ["q", "v"], ["y"])]
    made = model(nodes, [value("x", ("n", 64))], [value("y", None)], [weight(64, 64), second])
    made.metadata_props.add(key="characters", value="abc")
    after = rewrite(made, {"w": "int4-storage"})
    assert after.metadata_props == made.metadata_props
    assert after.graph.input == made.graph.input
    assert after.graph.output == made.graph.output
    assert next(t for t in after.graph.initializer if t.name == "v") == second
    assert rewrite(made, {}) == made


def test_half_precision_is_refused_beyond_its_range_and_below_it():
    for largest, refused in ((1e5, True), (1e-6, True), (65504, False), (1e-3, False)):
        made = model([MUL], [value("x", (32, 32))], [value("y", None)], [tensor("w", np.full((32, 32), largest))])
        (site,) = find_sites(Draft(made))
        assert bool(Fp16Storage().refusal(site)) == refused
        assert refused == (not menu(site, ["fp16-storage"]))
        if refused:
            with pytest.raises(ValueError, match="float16"):
                rewrite(made, {"w": "fp16-storage"})


def test_values_that_do_not_fill_bytes_are_refused_in_words():
    made = model([MUL], [value("x", (33, 33))], [value("y", None)], [weight(33, 33)])
    (site,) = find_sites(Draft(made))
    assert "cannot be packed 2 to a byte" in ENCODINGS["int4-storage"].refusal(site)
    assert "cannot be packed 4 to a byte" in ENCODINGS["int6-storage"].refusal(site)
    assert [e.name for e in menu(site, ["int4-storage", "int8-storage"])] == ["int8-storage-b32", "int8-storage"]


@pytest.mark.parametrize("encoding", ["int8-storage", "int8-storage-b32", "int6-storage", "int4-storage"])
@pytest.mark.parametrize("build", [matmul, conv])
def test_rounding_by_inputs_keeps_answers_better(build, encoding):
    made = build()
    (site,) = find_sites(Draft(made))
    array = numpy_helper.to_array(made.graph.initializer[0])
    summed = array.size // array.shape[site.axis]
    inputs = RNG.standard_normal((500, 12)) @ RNG.standard_normal((12, summed))
    gap = []
    for gram in (None, inputs.T @ inputs):
        value_ = ENCODINGS[encoding].decode(ENCODINGS[encoding].encode(array, site, gram), site)
        rows = (value_ - array).reshape(-1, summed) if site.axis == 0 else (value_ - array).T
        gap.append(np.square(inputs @ rows.T).sum())
    assert gap[1] < 0.5 * gap[0]
    unfit = ENCODINGS[encoding].encode(array, site, np.eye(7))
    assert same_bits(
        ENCODINGS[encoding].decode(unfit, site),
        ENCODINGS[encoding].decode(ENCODINGS[encoding].encode(array, site), site),
    )
