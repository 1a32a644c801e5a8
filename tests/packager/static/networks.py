"""A small convolutional network and requests for it, the same every time."""

import numpy as np

from tests.support import graphs as g

__all__ = ["cnn", "normal", "requests"]


def normal(*shape, seed=0, scale=0.2):
    return np.random.default_rng([seed, *shape]).normal(scale=scale, size=shape).astype(np.float32)


def cnn(opset=17, x="x", channels=8):
    """Two convolutions with SiLU between, a residual sum, a pool and a dense layer."""
    nodes = [
        g.node("Conv", [x, "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        g.node("Sigmoid", ["c1"], ["s1"]),
        g.node("Mul", ["c1", "s1"], ["m1"]),
        g.node("Conv", ["m1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        g.node("Relu", ["c2"], ["r2"]),
        g.node("Add", ["m1", "r2"], ["a"]),
        g.node("GlobalAveragePool", ["a"], ["p"]),
        g.node("Flatten", ["p"], ["f"]),
        g.node("Gemm", ["f", "w3", "b3"], ["y"], transB=1),
    ]
    weights = [
        g.tensor("w1", normal(channels, 3, 3, 3)),
        g.tensor("b1", normal(channels)),
        g.tensor("w2", normal(channels, channels, 3, 3)),
        g.tensor("w3", normal(5, channels)),
        g.tensor("b3", normal(5)),
    ]
    return g.model(nodes, [g.value(x, ["n", 3, "h", "w"])], [g.value("y", ["n", 5])], weights, opset=opset)


def requests(count=8, x="x", size=12):
    rng = np.random.default_rng(size)
    return [{x: rng.random((1, 3, size, size), dtype=np.float32) - np.float32(0.5)} for _ in range(count)]
