"""Patches multiplied by kernels are what the engine's convolution gives."""

import numpy as np
import pytest

from coldpress.encodings.patches import patches
from tests.support.graphs import alike, answers, model, node, tensor, value

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kernel", "shape", "attributes"),
    [
        ((5, 4, 3, 3), (2, 4, 9, 11), {}),
        ((5, 4, 1, 1), (2, 4, 6, 5), {"strides": [2, 2]}),
        ((5, 4, 3, 2), (1, 4, 9, 11), {"pads": [1, 0, 2, 1], "strides": [2, 3], "dilations": [2, 1]}),
        ((5, 4, 3, 3), (1, 4, 8, 9), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ((5, 4, 4, 4), (1, 4, 8, 9), {"auto_pad": "SAME_LOWER"}),
        ((5, 4, 3, 3), (1, 4, 8, 9), {"auto_pad": "VALID"}),
        ((5, 4, 7), (3, 4, 20), {"pads": [3, 3]}),
        ((5, 2, 3, 3, 3), (1, 2, 5, 6, 7), {"pads": [1, 1, 1, 1, 1, 1]}),
    ],
)
def test_patches_multiplied_by_kernels_are_the_convolution(kernel, shape, attributes):
    weight = RNG.standard_normal(kernel).astype(np.float32)
    given = RNG.standard_normal(shape).astype(np.float32)
    conv = node("Conv", ["x", "w"], ["y"], **attributes)
    made = model([conv], [value("x", shape)], [value("y", None)], [tensor("w", weight)])
    (answer,) = answers(made, {"x": given})
    found = patches(conv, given, kernel) @ weight.reshape(kernel[0], -1).T
    assert alike(found, np.moveaxis(answer, 1, -1).reshape(-1, kernel[0]))


def test_groups_meet_different_inputs():
    conv = node("Conv", ["x", "w"], ["y"], group=2)
    assert patches(conv, np.zeros((1, 4, 8, 8), np.float32), (6, 2, 3, 3)) is None


def test_of_many_positions_some_are_taken():
    conv = node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    given = RNG.standard_normal((3, 4, 10, 10)).astype(np.float32)
    whole = patches(conv, given, (5, 4, 3, 3))
    some = patches(conv, given, (5, 4, 3, 3), most=50)
    assert some.shape == (50, 36)
    assert {row.tobytes() for row in some} <= {row.tobytes() for row in whole}
    assert some[0].tobytes() == whole[0].tobytes()
    assert some[-1].tobytes() == whole[-1].tobytes()
