"""A table that is stored small is looked up before it is expanded, and the answers stay bit for bit."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.late_expansion import expand_late
from coldpress.shrink.strip import strip
from tests.support import passes
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value
from tests.support.models import feeds, fetch
from tests.support.passes import ops

ROWS, WIDTH = 600, 32
RNG = np.random.default_rng(0)
TABLE = tensor("w", RNG.integers(-127, 128, (ROWS, WIDTH)), np.int8)
SCALES = tensor("s", RNG.random((ROWS, 1)), np.float32)
IDS = value("ids", ("n", "m"), TensorProto.INT64)
OUT = [value("y", None)]
FEEDS = {"ids": np.array([[0, 5, 599], [-1, -600, 5]])}
CAST = node("Cast", ["w"], ["f"], to=TensorProto.FLOAT)
MUL = node("Mul", ["f", "s"], ["e"])
GATHER = node("Gather", ["e", "ids"], ["y"])


def run(made, inputs=FEEDS):
    """Apply the pass; return its count and the operators after."""
    count, after = passes.run(expand_late, made, inputs)
    return count, ops(after)


def made(nodes, weights, outputs=None, inputs=None, **options):
    return model(nodes, [IDS] if inputs is None else inputs, outputs or OUT, weights, **options)


def test_the_rows_and_their_scales_are_looked_up_first():
    assert run(made([CAST, MUL, GATHER], [TABLE, SCALES])) == (1, ["Gather", "Cast", "Gather", "Mul"])


def test_a_table_with_a_cast_only():
    half = tensor("w", RNG.random((ROWS, WIDTH)), np.float16)
    nodes = [CAST, node("Gather", ["f", "ids"], ["y"])]
    assert run(made(nodes, [half])) == (1, ["Gather", "Cast"])


@pytest.mark.parametrize("shape", [(), (WIDTH,)], ids=["one scale", "a scale a column"])
def test_scales_without_rows_stay_whole(shape):
    scales = tensor("s", RNG.random(shape), np.float32)
    assert run(made([CAST, MUL, GATHER], [TABLE, scales])) == (1, ["Gather", "Cast", "Mul"])


def test_a_zero_point_and_operands_on_either_side():
    zeros = tensor("z", RNG.integers(-9, 9, (ROWS, 1)), np.float32)
    ones = tensor("o", 1.0)
    nodes = [
        CAST,
        node("Sub", ["f", "z"], ["a"]),
        node("Mul", ["s", "a"], ["b"]),
        node("Sub", ["o", "b"], ["e"]),
        GATHER,
    ]
    count, ops = run(made(nodes, [TABLE, SCALES, zeros, ones]))
    assert (count, ops) == (1, ["Gather", "Cast", "Gather", "Sub", "Gather", "Mul", "Sub"])


def test_a_single_index_gives_a_single_row():
    assert run(made([CAST, MUL, GATHER], [TABLE, SCALES], inputs=[value("ids", (), TensorProto.INT64)]), {
        "ids": np.array(7)
    })[0] == 1  # fmt: skip


def test_inside_a_branch():
    inner = graph([CAST, MUL, node("Gather", ["e", "ids"], ["r"])], [], [value("r", None)], [TABLE, SCALES])
    other = graph([node("Cast", ["ids"], ["r2"], to=TensorProto.FLOAT)], [], [value("r2", None)])
    whole = made(
        [node("If", ["c"], ["y"], then_branch=inner, else_branch=other)],
        [],
        inputs=[IDS, value("c", (), TensorProto.BOOL)],
    )
    for c in (True, False):
        count, _ = run(whole, FEEDS | {"c": np.array(c)})
        assert count == 1


@pytest.mark.parametrize(
    ("nodes", "weights", "outputs"),
    [
        ([CAST, MUL, node("Gather", ["e", "ids"], ["y"], axis=1)], [TABLE, SCALES], None),
        ([CAST, MUL, GATHER, node("Neg", ["e"], ["z"])], [TABLE, SCALES], [value("y", None), value("z", None)]),
        ([CAST, node("Softmax", ["f"], ["e"], axis=0), GATHER], [TABLE], None),
        ([CAST, MUL, GATHER], [TABLE, tensor("s", RNG.random((1, WIDTH)), np.float32)], None),
        ([CAST, MUL, GATHER], [TABLE, tensor("s", RNG.random((2, ROWS, 1)), np.float32)], None),
        ([CAST, MUL, GATHER], [tensor("w", np.ones((ROWS, 1)), np.int8), tensor("s", np.ones((ROWS, 9)))], None),
        ([CAST, MUL, GATHER], [tensor("w", np.ones((600, 2)), np.int8), SCALES], None),
        ([node("Gather", ["e", "ids"], ["y"])], [tensor("e", np.ones((ROWS, WIDTH)))], None),
    ],
    ids=[
        "another axis",
        "the whole table is read elsewhere",
        "rows depend on each other",
        "a row for all of rank two",
        "more axes than the table",
        "an operand that widens",
        "a small table",
        "nothing to expand",
    ],
)
def test_left_alone(nodes, weights, outputs):
    feeds_ = {"ids": np.array([[0, 1]])}
    whole = made(nodes, weights, outputs)
    before = whole.SerializeToString()
    count, _ = run(whole, feeds_)
    assert count == 0
    assert whole.SerializeToString() == before


def test_a_table_that_a_caller_may_override_is_left_alone():
    whole = made([CAST, MUL, GATHER], [TABLE, SCALES], inputs=[IDS, value("w", (ROWS, WIDTH), TensorProto.INT8)])
    assert run(whole)[0] == 0


def test_an_index_out_of_range_is_still_refused():
    whole = made([CAST, MUL, GATHER], [TABLE, SCALES])
    draft = Draft(whole)
    assert expand_late(draft) == 1
    for each in (whole, draft.restore()):
        with pytest.raises(Exception, match="out of data bounds"):
            answers(each, {"ids": np.array([[ROWS]])})


@pytest.mark.models
def test_the_tables_of_a_real_sentence_encoder_are_looked_up_first():
    whole = onnx.load(fetch("minilm_int8"))
    result = strip(whole)
    (step,) = (step for step in result.steps if step.name == "late expansion")
    assert (step.count, step.note) == (2, "")
    assert same_bits(answers(whole, feeds("minilm_int8")), answers(result.model, feeds("minilm_int8")))
