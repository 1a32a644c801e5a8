import numpy as np
import pytest

from coldpress_runtime.batch.independence import are_independent
from coldpress_runtime.ort import Session
from coldpress_runtime.tensor import Tensor
from tests.support import graphs
from tests.support.tiny import MODELS


def _one(kind, **values):
    return {name: Tensor.from_numpy(np.array(value, kind)) for name, value in values.items()}


def _answer(model, *rows, outputs=("y",)):
    with Session(model.SerializeToString()) as session:
        return are_independent(session, rows, set(outputs))


def _over(divisor, **more):
    """``x`` divided by what a node makes of all of it."""
    nodes = [graphs.node(divisor, ["x"], ["m"], **more), graphs.node("Div", ["x", "m"], ["y"])]
    return graphs.model(nodes, [graphs.value("x", ("n", 2))], [graphs.value("y", ("n", 2))])


def test_rows_that_do_not_know_of_each_other():
    rows = [_one("f4", x=[[place] * 64]) for place in (1, 3)]
    assert _answer(MODELS["mlp"](), *rows, outputs=("label", "probabilities")) is True
    assert _answer(MODELS["bytes"](), _one("U1", x=[["a", "b"]]), _one("U1", x=[["c", "d"]])) is True
    assert _answer(MODELS["zipmap"](), _one("f4", scores=[[1, 2]]), outputs=("raw", "by_class")) is True
    assert _answer(MODELS["divide"](), _one("f4", x=[0]), _one("f4", x=[1])) is True


@pytest.mark.parametrize("node", ["ReduceMax", "ReduceSum", "ReduceL2"])
def test_a_scale_for_all_rows(node):
    assert _answer(_over(node, keepdims=0), _one("f4", x=[[1, 1]]), _one("f4", x=[[1, 1]])) is False


def test_dynamic_quantisation():
    nodes = [
        graphs.node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        graphs.node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    model = graphs.model(nodes, [graphs.value("x", ("n", 2))], [graphs.value("y", ("n", 2))])
    assert _answer(model, _one("f4", x=[[0.3, 1]]), _one("f4", x=[[0.7, -1]])) is False


def test_outputs_without_a_row_for_each():
    nodes = [graphs.node("Identity", ["x"], ["y"]), graphs.node("Concat", ["x", "x"], ["z"], axis=0)]
    outputs = [graphs.value("y", ("n", 2)), graphs.value("z", ("m", 2))]
    model = graphs.model(nodes, [graphs.value("x", ("n", 2))], outputs)
    row = _one("f4", x=[[1, 2]])
    assert _answer(model, row, row, outputs=("y", "z")) is False
    assert _answer(model, row, row, outputs=("y",)) is True


def test_louder_rows_that_the_model_refuses_are_left_out():
    nodes = [graphs.node("Cast", ["x"], ["i"], to=7), graphs.node("Gather", ["table", "i"], ["y"], axis=0)]
    table = graphs.tensor("table", [[1, 2], [3, 4]])
    model = graphs.model(nodes, [graphs.value("x", ("n",))], [graphs.value("y", ("n", 2))], [table])
    assert _answer(model, _one("f4", x=[1]), _one("f4", x=[0])) is True
    assert _answer(model, _one("f4", x=[1]), _one("f4", x=[2])) is None
