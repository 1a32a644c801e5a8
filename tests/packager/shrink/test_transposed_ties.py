"""A matrix stored beside its own transpose is stored once, and only then."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.strip import FINISHING, LOSSLESS, strip
from coldpress.shrink.transposed_ties import tie_transposed
from tests.support.graphs import answers, graph, model, node, same_bits, tensor, value

TABLE = np.random.default_rng(0).normal(size=(40, 24)).astype(np.float32)
IDS = {"ids": np.array([[3, 1, 4]], np.int64)}


def tied(table=TABLE, other=None, **more):
    """Look rows up and score all rows: the output projection is the table's transpose."""
    return model(
        [node("Gather", ["table", "ids"], ["h"]), node("MatMul", ["h", "out"], ["y"])],
        [value("ids", (1, "N"), TensorProto.INT64)],
        [value("y", (1, "N", 40))],
        [tensor("out", table.T if other is None else other), tensor("table", table)],
        **more,
    )


def run(made, feeds=IDS):
    draft = Draft(made)
    count = tie_transposed(draft)
    after = draft.restore()
    assert same_bits(answers(made, feeds), answers(after, feeds))
    return count, after


def test_the_table_that_rows_are_looked_up_in_is_kept():
    made = tied()
    count, after = run(made)
    assert count == 1
    assert [t.name for t in after.graph.initializer] == ["table"]
    assert [n.op_type for n in after.graph.node] == ["Transpose", "Gather", "MatMul"]
    assert made.ByteSize() - after.ByteSize() > TABLE.nbytes - 60


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.float64])
def test_matrices_of_any_type_are_compared_by_their_bytes(dtype):
    a = np.arange(48 * 50).reshape(48, 50).astype(dtype)
    made = model(
        [node("Cast", ["a"], ["b"], to=1), node("Cast", ["t"], ["u"], to=1), node("MatMul", ["b", "u"], ["c"]),
         node("Add", ["x", "c"], ["y"])],
        [value("x", (48, 48))], [value("y", (48, 48))],
        [tensor("a", a, dtype), tensor("t", a.T, dtype)],
    )  # fmt: skip
    count, after = run(made, {"x": np.ones((48, 48), np.float32)})
    assert (count, len(after.graph.initializer)) == (1, 1)


def test_one_bit_of_difference_keeps_both():
    other = TABLE.T.copy()
    other[5, 7] = np.nextafter(other[5, 7], np.float32(9))
    assert run(tied(other=other))[0] == 0


def test_equal_square_matrices_are_not_each_others_transpose():
    square = TABLE[:24]
    made = model(
        [node("MatMul", ["x", "a"], ["h"]), node("MatMul", ["h", "b"], ["y"])],
        [value("x", (2, 24))], [value("y", (2, 24))], [tensor("a", square), tensor("b", square)],
    )  # fmt: skip
    assert run(made, {"x": TABLE[:2]})[0] == 0


def test_each_of_three_transposes_points_at_the_one_kept():
    made = tied()
    made.graph.initializer.append(tensor("again", TABLE.T))
    made.graph.node.append(node("MatMul", ["h", "again"], ["z"]))
    made.graph.output.append(value("z", (1, "N", 40)))
    count, after = run(made)
    assert (count, len(after.graph.initializer)) == (2, 1)


def test_tiny_outputs_and_defaults_are_left_alone():
    assert run(tied(TABLE[:, :4]))[0] == 0
    default = tied()
    default.graph.input.append(value("out", (24, 40)))
    assert run(default)[0] == 0
    shown = tied()
    shown.graph.output.append(value("out", (24, 40)))
    assert run(shown)[0] == 0


def test_weights_of_two_graphs_are_left_alone():
    branch = graph([node("MatMul", ["x", "t"], ["p"])], [], [value("p", (2, 40))], [tensor("t", TABLE.T)])
    other = graph([node("Gemm", ["x", "w"], ["q"], transB=1)], [], [value("q", (2, 40))])
    made = model(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x", (2, 24)), value("c", (), TensorProto.BOOL)], [value("y", (2, 40))], [tensor("w", TABLE)],
    )  # fmt: skip
    assert run(made, {"x": TABLE[:2], "c": np.array(True)})[0] == 0


def test_inside_a_branch_it_ties_too():
    branch = graph(
        [node("MatMul", ["x", "t"], ["h"]), node("MatMul", ["h", "u"], ["p"])], [], [value("p", (2, 24))],
        [tensor("t", TABLE.T), tensor("u", TABLE)],
    )  # fmt: skip
    other = graph([node("Neg", ["x"], ["q"])], [], [value("q", (2, 24))])
    made = model(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x", (2, 24)), value("c", (), TensorProto.BOOL)], [value("y", (2, 24))],
    )  # fmt: skip
    feeds = {"x": TABLE[:2], "c": np.array(True)}
    assert run(made, feeds)[0] == 1


def test_the_whole_pipeline_ties_and_checks():
    made = tied()
    result = strip(made, (*LOSSLESS, *FINISHING))
    assert [step.name for step in result.steps if step.bytes_saved > TABLE.nbytes / 2] == ["transposed ties"]
    assert not [step for step in result.steps if step.note]
    assert same_bits(answers(made, IDS), answers(result.model, IDS))
