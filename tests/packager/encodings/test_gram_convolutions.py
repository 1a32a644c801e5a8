"""Convolutions have Gram matrices, too: of the patches that their kernels meet."""

import numpy as np
import onnx
import pytest

from coldpress.encodings.gram import input_grams
from coldpress.encodings.patches import patches
from coldpress.encodings.sites import find_sites
from coldpress.shrink.draft import Draft
from tests.support.graphs import alike, model, node, tensor, value

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("group", [1, 2])
def test_the_gram_matrix_of_a_convolution_is_that_of_its_patches(group, tmp_path):
    kernel = (64, 8 // group, 3, 3)
    conv = node("Conv", ["h", "w"], ["y"], pads=[1, 1, 1, 1], strides=[2, 2], group=group)
    nodes = [node("Relu", ["x"], ["h"]), conv]
    made = model(nodes, [value("x", (1, 8, 12, 12))], [value("y", None)], [tensor("w", RNG.random(kernel))])
    onnx.save(made, tmp_path / "m.onnx")
    requests = [{"x": RNG.standard_normal((1, 8, 12, 12)).astype(np.float32)} for _ in range(3)]
    found = input_grams(tmp_path / "m.onnx", requests, find_sites(Draft(made)))
    if group > 1:
        assert not found
        return
    met = np.concatenate([patches(conv, np.maximum(request["x"], 0), kernel) for request in requests])
    assert alike(found["w"], met.astype(np.float64).T @ met)
