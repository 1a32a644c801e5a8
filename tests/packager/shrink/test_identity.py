"""Identities go; what an output, an input or an inner graph is called by stays."""

import numpy as np
from onnx import TensorProto

from coldpress.shrink.identity import drop_identities
from tests.support.graphs import graph, model, node, tensor, value
from tests.support.passes import FEEDS, X, ops, run


def test_a_chain_of_identities_goes():
    made = model([
        node("Identity", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Relu", ["b"], ["y"])
    ])  # fmt: skip
    count, after = run(drop_identities, made)
    assert (count, ops(after)) == (2, ["Relu"])


def test_the_producer_takes_over_the_name_of_an_output():
    made = model([node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"])])
    count, after = run(drop_identities, made)
    assert (count, ops(after), after.graph.output[0].name) == (1, ["Relu"], "y")


def test_other_readers_follow_the_renamed_producer():
    made = model(
        [node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"]), node("Neg", ["a"], ["z"])],
        outputs=[value("y"), value("z")],
    )
    count, after = run(drop_identities, made)
    assert (count, list(after.graph.node[1].input)) == (1, ["y"])


def test_two_outputs_of_one_value_keep_one_identity():
    made = model(
        [node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"]), node("Identity", ["a"], ["z"])],
        outputs=[value("y"), value("z")],
    )
    count, after = run(drop_identities, made)
    assert (count, ops(after)) == (1, ["Relu", "Identity"])


def test_an_output_that_is_an_input_keeps_its_identity():
    count, after = run(drop_identities, model([node("Identity", ["x"], ["y"])]))
    assert (count, ops(after)) == (0, ["Identity"])


def test_an_output_that_is_a_weight_keeps_its_identity():
    made = model([node("Identity", ["w"], ["y"])], weights=[tensor("w", X)])
    assert run(drop_identities, made)[0] == 0


def test_a_branch_that_returns_an_outer_value_keeps_its_identity():
    branch = graph([node("Identity", ["x"], ["t"])], [], [value("t")])
    other = graph([node("Neg", ["x"], ["e"])], [], [value("e")])
    made = model(
        [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x"), value("c", (), TensorProto.BOOL)],
    )
    for choice in (True, False):
        assert run(drop_identities, made, {**FEEDS, "c": np.array(choice)})[0] == 0


def test_an_outer_identity_read_only_inside_a_branch_goes():
    branch = graph([node("Neg", ["a"], ["t"])], [], [value("t")])
    other = graph([node("Abs", ["a"], ["e"])], [], [value("e")])
    made = model(
        [node("Identity", ["x"], ["a"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
        [value("x"), value("c", (), TensorProto.BOOL)],
    )
    count, after = run(drop_identities, made, {**FEEDS, "c": np.array(True)})
    assert (count, ops(after)) == (1, ["If"])


def test_a_loop_keeps_the_identity_of_its_condition():
    body = graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["a", "x"], ["b"])],
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("a")],
        [value("go_on", (), TensorProto.BOOL), value("b")],
    )
    made = model(
        [node("Loop", ["n", "", "x"], ["y"], body=body)], weights=[tensor("n", 3, np.int64)]
    )  # fmt: skip
    assert run(drop_identities, made)[0] == 0


def test_a_quantisation_annotation_keeps_its_name():
    made = model([node("Identity", ["x"], ["a"]), node("Relu", ["a"], ["y"])])
    made.graph.quantization_annotation.add(tensor_name="a")
    assert run(drop_identities, made)[0] == 0


def test_a_join_of_one_goes():
    made = model([
        node("Concat", ["x"], ["a"], axis=0), node("Sum", ["a"], ["b"]), node("Relu", ["b"], ["y"])
    ])  # fmt: skip
    assert run(drop_identities, made)[0] == 2
