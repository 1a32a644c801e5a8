"""What depends on chance is found by following the graph; what does not is still compared to the bit."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from coldpress.model.random_ops import drawn_outputs

FLOAT = TensorProto.FLOAT
node = helper.make_node


def _model(nodes, outputs, *, initializers=(), functions=(), inputs=("x",)):
    values = [helper.make_tensor_value_info(name, FLOAT, [2]) for name in inputs]
    outs = [helper.make_tensor_value_info(name, FLOAT, [2]) for name in outputs]
    graph = helper.make_graph(nodes, "g", values, outs, list(initializers))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    onnx.checker.check_model(model)
    return model


def _dropout(training, **extra):
    constants = [numpy_helper.from_array(np.float32(0.5), "ratio")]
    if training is not None:
        constants.append(numpy_helper.from_array(np.array(training), "training"))
    return _model([node("Dropout", ["x", "ratio", "training"], ["y"])], ["y"], initializers=constants, **extra)


def _branch(op, name):
    return helper.make_graph([node(op, ["x"], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, None)])


def test_only_outputs_that_a_random_operator_reaches_count():
    nodes = [
        node("RandomNormal", [], ["noise"], shape=[2], seed=1.0),
        node("Add", ["x", "noise"], ["noisy"]),
        node("Relu", ["x"], ["calm"]),
        node("Neg", ["noisy"], ["y"]),
    ]
    assert drawn_outputs(_model(nodes, ["y", "calm"])) == {"y"}


@pytest.mark.parametrize(("training", "drawn"), [(True, {"y"}), (False, set())])
def test_dropout_draws_only_in_training(training, drawn):
    assert drawn_outputs(_dropout(training)) == drawn


def test_dropout_draws_where_a_caller_may_switch_training_on():
    switch = helper.make_tensor_value_info("training", TensorProto.BOOL, [])
    model = _dropout(False)
    model.graph.input.append(switch)
    assert drawn_outputs(model) == {"y"}
    model = _dropout(False)
    del model.graph.node[0].input[1:]
    assert drawn_outputs(model) == set()


def test_subgraphs_and_local_functions_are_followed():
    condition = numpy_helper.from_array(np.array(True), "c")
    choice = node("If", ["c"], ["y"], then_branch=_branch("RandomNormalLike", "a"), else_branch=_branch("Relu", "b"))
    assert drawn_outputs(_model([choice], ["y"], initializers=[condition])) == {"y"}
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    outer = helper.make_function("own", "Outer", ["i"], ["o"], [node("Noise", ["i"], ["o"], domain="own")], opsets)
    inner = helper.make_function("own", "Noise", ["i"], ["o"], [node("RandomUniformLike", ["i"], ["o"])], opsets)
    model = _model([node("Outer", ["x"], ["y"], domain="own")], ["y"], functions=[outer, inner])
    assert drawn_outputs(model) == {"y"}
    readers = [
        node("RandomNormalLike", ["x"], ["n"]),
        node("If", ["c"], ["y"], then_branch=_reading("n"), else_branch=_branch("Relu", "b")),
    ]
    assert drawn_outputs(_model(readers, ["y"], initializers=[condition])) == {"y"}


def _reading(name):
    output = helper.make_tensor_value_info("t", FLOAT, None)
    return helper.make_graph([node("Neg", [name], ["t"])], "reading", [], [output])
