"""Attributes that say what would hold anyway go, all others stay, and answers are the same bit for bit."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress.shrink.default_attributes import drop_default_attributes
from coldpress.shrink.draft import Draft
from tests.support.graphs import answers, model, node, same_bits, tensor, value

IMAGE = np.random.default_rng(0).normal(size=(1, 4, 9, 9)).astype(np.float32)
W = tensor("w", np.random.default_rng(1).normal(size=(4, 4, 3, 3)))


def run(one, weights=(), x=IMAGE, **more):
    made = model([one], [value("x", x.shape)], [helper.make_tensor_value_info("y", 1, None)], list(weights), **more)
    draft = Draft(made)
    count = drop_default_attributes(draft)
    after = draft.restore()
    for optimized in (True, False):
        before = answers(made, {"x": x}, optimized=optimized)
        assert same_bits(before, answers(after, {"x": x}, optimized=optimized))
    return count, [attribute.name for attribute in after.graph.node[0].attribute]


def test_a_conv_keeps_its_kernel_and_loses_the_rest():
    plain = {"dilations": [1, 1], "strides": [1, 1], "pads": [0] * 4, "group": 1, "auto_pad": "NOTSET"}
    assert run(node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], **plain), [W]) == (5, ["kernel_shape"])


@pytest.mark.parametrize(
    "particular", [{"dilations": [2, 1]}, {"strides": [1, 2]}, {"pads": [0, 0, 0, 1]}, {"auto_pad": "SAME_UPPER"}]
)
def test_a_conv_keeps_what_is_particular(particular):
    assert run(node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], **particular), [W])[0] == 0


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools(op):
    count, left = run(node(op, ["x"], ["y"], kernel_shape=[2, 2], strides=[1, 1], pads=[0] * 4, ceil_mode=0))
    assert (count, left) == (3, ["kernel_shape"])


@pytest.mark.parametrize(
    ("one", "count"),
    [
        (node("Softmax", ["x"], ["y"], axis=-1), 1),
        (node("Softmax", ["x"], ["y"], axis=1), 0),
        (node("LeakyRelu", ["x"], ["y"], alpha=float(np.float32(0.01))), 1),
        (node("LeakyRelu", ["x"], ["y"], alpha=0.02), 0),
        (node("Transpose", ["x"], ["y"], perm=[0, 1, 2, 3]), 0),
        (node("Elu", ["x"], ["y"], alpha=1.0), 1),
    ],
)
def test_defaults_of_schemas(one, count):
    assert run(one)[0] == count


def test_the_opset_in_force_decides():
    one = node("Softmax", ["x"], ["y"], axis=1)  # the default until opset 12
    assert run(one, opset=12)[0] == 1
    assert run(one, opset=13)[0] == 0


def test_operators_of_other_domains_and_functions_are_left_alone():
    body = [node("Conv", ["a", "b"], ["c"], group=1)]
    function = helper.make_function("my", "F", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)])
    made = model(
        [node("F", ["x", "w"], ["h"], domain="my"),
         node("FusedConv", ["h", "w"], ["y"], domain="com.microsoft", group=1)],
        [value("x", (1, 4, 9, 9))], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [W],
        domains=(("my", 1), ("com.microsoft", 1)), functions=[function],
    )  # fmt: skip
    draft = Draft(made)
    assert drop_default_attributes(draft) == 0
    assert draft.restore() == made
