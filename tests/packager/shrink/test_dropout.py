"""Dropout goes where it does nothing: outside training."""

import numpy as np
import pytest
from onnx import TensorProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.dropout import drop_dropouts
from tests.support.graphs import model, node, tensor, value
from tests.support.passes import FEEDS, run


@pytest.mark.parametrize("opset", [7, 10, 12, 13, 17])
def test_inference_mode_goes(opset):
    made = model([node("Dropout", ["x"], ["a"]), node("Relu", ["a"], ["y"])], opset=opset)
    assert run(drop_dropouts, made)[0] == 1


def test_a_mask_that_is_read_stays():
    made = model(
        [node("Dropout", ["x"], ["a", "m"]), node("Relu", ["a"], ["y"]), node("Not", ["m"], ["z"])],
        outputs=[value("y"), value("z", dtype=TensorProto.BOOL)],
    )
    assert run(drop_dropouts, made)[0] == 0


def test_a_mask_that_is_an_output_stays():
    made = model(
        [node("Dropout", ["x"], ["a", "m"]), node("Relu", ["a"], ["y"])],
        outputs=[value("y"), value("m", dtype=TensorProto.BOOL)],
    )
    assert run(drop_dropouts, made)[0] == 0


@pytest.mark.parametrize(("training", "gone"), [(False, 1), (True, 0)])
def test_training_mode_decides(training, gone):
    made = model(
        [node("Dropout", ["x", "r", "t"], ["a"]), node("Relu", ["a"], ["y"])],
        weights=[tensor("r", 0.0), tensor("t", training, bool)],
    )
    assert run(drop_dropouts, made)[0] == gone


def test_a_training_mode_given_by_the_caller_stays():
    made = model(
        [node("Dropout", ["x", "", "t"], ["a"]), node("Relu", ["a"], ["y"])],
        [value("x"), value("t", (), TensorProto.BOOL)],
    )
    assert run(drop_dropouts, made, {**FEEDS, "t": np.array(False)})[0] == 0


def test_an_old_dropout_stays_unless_told_it_is_a_test():
    for flag, gone in ((0, 0), (1, 1)):
        made = model([node("Dropout", ["x"], ["a"], is_test=flag), node("Relu", ["a"], ["y"])], opset=6)
        assert drop_dropouts(Draft(made)) == gone
