"""A product with one-hot vectors becomes a look-up, and the answers stay bit for bit, out of range too."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.one_hot import look_up_rows
from coldpress.shrink.strip import strip
from tests.support import passes
from tests.support.graphs import answers, constant, graph, model, node, same_bits, tensor, value
from tests.support.models import feeds, fetch
from tests.support.passes import ops

ROWS, WIDTH = 40, 6
RNG = np.random.default_rng(0)
WEIGHTS = RNG.standard_normal((ROWS, WIDTH)).astype(np.float32)
WEIGHTS[3, 2] = -0.0
TABLE = tensor("w", WEIGHTS)
CLASSES = tensor("c", np.arange(ROWS)[None, None], np.int32)
COLUMN = tensor("s", [0, -1, 1], np.int64)
IDS = value("ids", ("n", "m"), TensorProto.INT32)
OUT = [value("y", None)]
FEEDS = {"ids": np.array([[0, 3, 39, 7], [-1, 40, -2147483648, 2147483647]], np.int32)}
RESHAPE = node("Reshape", ["ids", "s"], ["i"])
EQUAL = node("Equal", ["i", "c"], ["e"])
CAST = node("Cast", ["e"], ["f"], to=TensorProto.FLOAT)
MATMUL = node("MatMul", ["f", "w"], ["y"])
NODES = [RESHAPE, EQUAL, CAST, MATMUL]
WEIGHED = [TABLE, CLASSES, COLUMN]


def run(made, inputs=FEEDS):
    """Apply the pass; return its count and the operators after."""
    count, after = passes.run(look_up_rows, made, inputs)
    return count, ops(after)


def made(nodes, weights, outputs=None, inputs=None, **options):
    return model(nodes, [IDS] if inputs is None else inputs, outputs or OUT, weights, **options)


LOOKED_UP = (1, ["Reshape", "Clip", "Squeeze", "Gather"])


@pytest.mark.parametrize("opset", [12, 13, 17])
def test_the_row_is_looked_up(opset):
    assert run(made(NODES, WEIGHED, opset=opset)) == LOOKED_UP


def test_the_model_becomes_no_larger():
    draft = Draft(made(NODES, WEIGHED))
    before = draft.size()
    assert look_up_rows(draft) == 1
    assert draft.size() <= before


def test_the_classes_may_come_first_and_have_one_axis():
    nodes = [RESHAPE, node("Equal", ["c", "i"], ["e"]), CAST, MATMUL]
    assert run(made(nodes, [TABLE, tensor("c", np.arange(ROWS), np.int32), COLUMN])) == LOOKED_UP


def test_whole_numbers_of_64_bits_and_a_table_of_doubles():
    nodes = [RESHAPE, EQUAL, node("Cast", ["e"], ["f"], to=TensorProto.DOUBLE), MATMUL]
    weights = [tensor("w", WEIGHTS, np.float64), tensor("c", np.arange(ROWS), np.int64), COLUMN]
    inputs = [value("ids", ("n", "m"), TensorProto.INT64)]
    wide = {"ids": np.array([[1, -(2**40)], [2**63 - 1, 39]])}
    assert run(made(nodes, weights, [value("y", None, TensorProto.DOUBLE)], inputs), wide) == LOOKED_UP


def test_an_input_that_is_declared_as_a_column():
    inputs = [value("i", ("n", 1), TensorProto.INT32)]
    whole = made([EQUAL, CAST, MATMUL], [TABLE, tensor("c", np.arange(ROWS)[None], np.int32)], inputs=inputs)
    assert run(whole, {"i": np.array([[3], [40], [39]], np.int32)}) == (1, ["Clip", "Squeeze", "Gather"])


@pytest.mark.parametrize("opset", [12, 17])
def test_an_axis_that_was_added(opset):
    add, more = node("Unsqueeze", ["ids"], ["i"], axes=[-1]), []
    if opset > 12:
        add, more = node("Unsqueeze", ["ids", "a"], ["i"]), [tensor("a", [-1], np.int64)]
    weights = [TABLE, tensor("c", np.arange(ROWS), np.int32), *more]
    assert run(made([add, EQUAL, CAST, MATMUL], weights, opset=opset))[0] == 1


def test_a_column_that_is_spread_to_a_computed_shape_as_jax_writes_it():
    nodes = [
        RESHAPE,
        node("Shape", ["ids"], ["t"]),
        node("Concat", ["t", "one"], ["u"], axis=0),
        node("Expand", ["i", "u"], ["x"]),
        node("Equal", ["x", "c"], ["e"]),
        CAST,
        MATMUL,
    ]
    assert run(made(nodes, [*WEIGHED, tensor("one", [1], np.int64)]))[0] == 1


def test_inside_a_branch():
    inner = graph([*NODES[:-1], node("MatMul", ["f", "w"], ["r"])], [], [value("r", None)], WEIGHED)
    other = graph([node("Cast", ["ids"], ["r2"], to=TensorProto.FLOAT)], [], [value("r2", None)])
    inputs = [IDS, value("c0", (), TensorProto.BOOL)]
    whole = made([node("If", ["c0"], ["y"], then_branch=inner, else_branch=other)], [], inputs=inputs)
    for c in (True, False):
        assert run(whole, FEEDS | {"c0": np.array(c)})[0] == 1


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-2, ROWS + 2), min_size=1, max_size=12))
def test_any_index_gives_the_same_bits(ids):
    draft = Draft(made(NODES, WEIGHED))
    assert look_up_rows(draft) == 1
    inputs = {"ids": np.array([ids], np.int32)}
    assert same_bits(answers(made(NODES, WEIGHED), inputs), answers(draft.restore(), inputs))


BROKEN = WEIGHTS.copy()
BROKEN[1, 1] = np.inf


@pytest.mark.parametrize(
    ("nodes", "weights", "outputs"),
    [
        ([*NODES, node("Neg", ["f"], ["z"])], WEIGHED, [*OUT, value("z", None)]),
        ([*NODES, node("Not", ["e"], ["z"])], WEIGHED, [*OUT, value("z", None, TensorProto.BOOL)]),
        ([*NODES, node("Neg", ["w"], ["z"])], WEIGHED, [*OUT, value("z", None)]),
        (NODES, [TABLE, tensor("c", np.arange(ROWS)[::-1], np.int32), COLUMN], None),
        (NODES, [TABLE, tensor("c", np.arange(ROWS) + 1, np.int32), COLUMN], None),
        (NODES, [TABLE, tensor("c", np.arange(ROWS)[None, None, None], np.int32), COLUMN], None),
        (NODES, [tensor("w", BROKEN), CLASSES, COLUMN], None),
        (NODES, [TABLE, CLASSES, tensor("s", [-1, 1, ROWS], np.int64)], None),
        ([node("Identity", ["ids"], ["i"]), *NODES[1:]], [TABLE, CLASSES], None),
        ([RESHAPE, node("Less", ["i", "c"], ["e"]), CAST, MATMUL], WEIGHED, None),
        ([*NODES[:-1], node("MatMul", ["v", "f"], ["y"])], [*WEIGHED[1:], tensor("v", np.ones((3, 4)))], None),
        ([constant("w", WEIGHTS), *NODES], WEIGHED[1:], None),
    ],
    ids=[
        "the vectors are read elsewhere",
        "so are the comparisons",
        "so is the table",
        "other classes",
        "classes from 1 on",
        "more axes than the index",
        "a table that is not finite",
        "a row, not a column",
        "an axis of unknown length",
        "not a comparison for equality",
        "the vectors on the right",
        "a table that is no initialiser",
    ],
)
def test_left_alone(nodes, weights, outputs):
    whole = made(nodes, weights, outputs)
    before = whole.SerializeToString()
    wide = {"ids": RNG.integers(0, ROWS, (1, ROWS)).astype(np.int32)}
    inputs = wide if "Identity" in {n.op_type for n in nodes} or weights[-1].dims == [3] else FEEDS
    if weights[-1].name == "v":
        inputs = {"ids": np.zeros((1, 4), np.int32)}
    assert run(whole, inputs)[0] == 0
    assert whole.SerializeToString() == before


def test_a_table_that_a_caller_may_override_is_left_alone():
    assert run(made(NODES, WEIGHED, inputs=[IDS, value("w", (ROWS, WIDTH))]))[0] == 0


def test_an_older_operator_set_is_left_alone():
    assert run(made(NODES, WEIGHED, opset=11))[0] == 0


@pytest.mark.models
def test_the_embedding_of_a_real_model_is_looked_up():
    whole = onnx.load(fetch("magika"))
    result = strip(whole)
    (step,) = (step for step in result.steps if step.name == "one-hot products")
    assert (step.count, step.note) == (1, "")
    given_ = feeds("magika")
    beyond = {"bytes": RNG.integers(-3, 300, (2, 2048)).astype(np.int32)}
    for inputs in (given_, beyond):
        assert same_bits(answers(whole, inputs), answers(result.model, inputs))
