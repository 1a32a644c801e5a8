"""Weights that are listed as inputs are inputs no longer, where nobody can tell."""

import numpy as np
from onnx import TensorProto

from coldpress.shrink.modernize_inputs import modernize_inputs
from tests.support.graphs import graph, model, node, tensor, value
from tests.support.passes import X, run


def test_defaults_become_constants():
    made = model([node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], weights=[tensor("w", X)])
    count, after = run(modernize_inputs, made)
    assert (count, [i.name for i in after.graph.input]) == (1, ["x"])


def test_a_model_of_ir_3_becomes_4():
    made = model([node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], weights=[tensor("w", X)], ir=3, opset=8)
    count, after = run(modernize_inputs, made)
    assert (count, after.ir_version) == (1, 4)


def test_inputs_of_inner_graphs_stay():
    body = graph(
        [node("Identity", ["go"], ["go_on"]), node("Add", ["a", "x"], ["b"])],
        [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("a")],
        [value("go_on", (), TensorProto.BOOL), value("b")],
    )
    made = model([node("Loop", ["n", "", "x"], ["y"], body=body)], weights=[tensor("n", 3, np.int64)])
    assert run(modernize_inputs, made)[0] == 0
