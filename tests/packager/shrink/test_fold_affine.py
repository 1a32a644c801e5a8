"""Scaling and shifting each channel becomes part of the weights before it, within rounding, and only where it may."""

import numpy as np
import onnx
import pytest

from coldpress.shrink.draft import Draft
from coldpress.shrink.fold_affine import fold_affine
from coldpress.shrink.strip import WITHIN_ROUNDING, strip
from tests.support import models
from tests.support.graphs import answers, model, node, same_bits, tensor, value

RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(2, 4, 8, 8)).astype(np.float32)
ROWS = RNG.normal(size=(3, 4)).astype(np.float32)
NORM = ["scale", "shift", "mean", "var"]
CHANNELS = [tensor(name, RNG.random(6) + 0.1) for name in NORM]


def product(kind, *, bias=True, groups=1, size=6):
    """Return the node, its weights and an input for it; every one has `size` output channels."""
    shapes = {
        "Conv": (size, 4 // groups, 3, 3), "ConvTranspose": (4, size // groups, 3, 3), "Gemm": (4, size),
        "GemmT": (size, 4), "MatMul": (4, size),
    }  # fmt: skip
    weights = [tensor("w", RNG.normal(size=shapes[kind]))]
    if bias and kind != "MatMul":
        weights.append(tensor("b", RNG.normal(size=size)))
    attributes = {"transB": 1} if kind == "GemmT" else {"group": groups} if groups > 1 else {}
    made = node(kind.removesuffix("T") if kind == "GemmT" else kind, ["x", *(t.name for t in weights)], ["p"],
                **attributes)  # fmt: skip
    return made, weights, IMAGE if "Conv" in kind else ROWS


def followed(kind, follower, constants, **more):
    one, weights, x = product(kind, **more)
    made = model([one, follower, node("Relu", ["n"], ["y"])], [value("x", x.shape)], [value("y", None)],
                 [*weights, *constants])  # fmt: skip
    return made, {"x": x}


def fold(made, feeds):
    draft = Draft(made)
    count = fold_affine(draft)
    after = draft.restore()
    (before,), (now,) = answers(made, feeds, optimized=False), answers(after, feeds, optimized=False)
    assert before.shape == now.shape
    assert np.abs(before - now).max() <= 2e-6 * np.abs(before).max() * (count + 1)
    return count, after


def by(op, constant, *, left=False):
    names = ["k", "p"] if left else ["p", "k"]
    return node(op, names, ["n"]), [tensor("k", constant)]


BATCH_NORM = node("BatchNormalization", ["p", *NORM], ["n"], epsilon=1e-3)
PER_CHANNEL = {"Conv": (1, 6, 1, 1), "ConvTranspose": (6, 1, 1), "Gemm": (6,), "GemmT": (1, 6), "MatMul": (6,)}
VECTOR = RNG.random(6) + 0.5


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "Gemm", "GemmT"])
def test_a_batch_norm_goes(kind, bias):
    count, after = fold(*followed(kind, BATCH_NORM, CHANNELS, bias=bias))
    assert count == 1
    assert len(after.graph.node) == len(after.graph.initializer) == 2


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_groups_keep_their_channels(kind):
    assert fold(*followed(kind, BATCH_NORM, CHANNELS, groups=2))[0] == 1


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose", "Gemm", "GemmT"])
def test_a_constant_for_each_channel_goes(kind, op):
    follower, constants = by(op, VECTOR.reshape(PER_CHANNEL[kind]))
    for bias in (True, False):
        assert fold(*followed(kind, follower, constants, bias=bias))[0] == 1


@pytest.mark.parametrize("op", ["Mul", "Div"])
@pytest.mark.parametrize("constant", [2.5, [2.5], VECTOR])
def test_a_matrix_product_takes_a_scale(op, constant):
    assert fold(*followed("MatMul", *by(op, constant)))[0] == 1


def test_one_number_goes_where_there_is_a_bias():
    for op in ("Mul", "Add"):
        assert fold(*followed("Conv", *by(op, [2.5])))[0] == 1
    assert fold(*followed("Conv", *by("Mul", 2.5), bias=False))[0] == 1
    assert fold(*followed("Conv", *by("Add", 2.5), bias=False))[0] == 0, "six numbers in the place of one"


def test_a_chain_goes_whole():
    one, weights, x = product("Conv")
    made = model(
        [one, node("Mul", ["p", "k"], ["a"]), node("Add", ["l", "a"], ["q"]),
         node("BatchNormalization", ["q", *NORM], ["n"]), node("Relu", ["n"], ["y"])],
        [value("x", x.shape)], [value("y", None)], [*weights, tensor("k", [1.5]), tensor("l", [-0.5]), *CHANNELS],
    )  # fmt: skip
    count, after = fold(made, {"x": x})
    assert (count, [n.op_type for n in after.graph.node]) == (3, ["Conv", "Relu"])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("follower", ["norm", "Mul", "Add"])
def test_the_engine_folds_a_conv_to_the_same_bits(bias, groups, follower):
    node_, constants = (BATCH_NORM, CHANNELS) if follower == "norm" else by(follower, VECTOR.reshape(1, 6, 1, 1))
    made, feeds = followed("Conv", node_, constants, bias=bias, groups=groups)
    count, after = fold(made, feeds)
    assert count == 1
    assert same_bits(answers(made, feeds), answers(after, feeds))


STAYS = {
    "a constant divided by the product": followed("Conv", *by("Div", VECTOR.reshape(1, 6, 1, 1), left=True)),
    "the product subtracted from a constant": followed("Conv", *by("Sub", VECTOR.reshape(1, 6, 1, 1), left=True)),
    "a constant for each place": followed("Conv", *by("Mul", RNG.random((6, 6)))),
    "a constant along the width": followed("Conv", *by("Mul", RNG.random(6))),
    "a constant for each row": followed("Gemm", *by("Mul", RNG.random((3, 1)))),
    "a constant that makes the product larger": followed("Conv", *by("Mul", RNG.random((1, 5, 1, 1))), size=1),
    "a constant of a higher rank": followed("MatMul", *by("Mul", RNG.random((1, 1, 6)))),
    "a division by zero": followed("Conv", *by("Div", [0.0])),
    "a shift of a product without a bias": followed("MatMul", *by("Add", VECTOR)),
    "a norm in training": followed(
        "Conv", node("BatchNormalization", ["p", *NORM], ["n", "", ""], training_mode=1), CHANNELS
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STAYS)
def test_stays(name):
    assert fold_affine(Draft(STAYS[name][0])) == 0


def test_a_product_or_weight_that_is_read_elsewhere_stays():
    made, _ = followed("Conv", BATCH_NORM, CHANNELS)
    made.graph.node.append(node("Neg", ["p"], ["z"]))
    made.graph.output.append(value("z", None))
    assert fold_affine(Draft(made)) == 0
    made, _ = followed("Conv", BATCH_NORM, CHANNELS)
    made.graph.node.append(node("Neg", ["w"], ["z"]))
    made.graph.output.append(value("z", None))
    assert fold_affine(Draft(made)) == 0


def test_a_bias_along_the_rows_of_a_gemm_stays():
    made, _ = followed("Gemm", *by("Mul", VECTOR), size=3)
    made.graph.initializer[1].dims[:] = [3, 1]
    made.graph.initializer[2].CopyFrom(tensor("k", VECTOR[:3]))
    assert fold_affine(Draft(made)) == 0


@pytest.mark.models
@pytest.mark.parametrize(("name", "least"), [("ocr_det", 30), ("ocr_rec", 30), ("ocr_cls", 35)])
def test_real_models_answer_within_rounding(name, least):
    data, feeds = models.fetch(name).read_bytes(), models.feeds(name)
    result = strip(onnx.load_from_string(data), WITHIN_ROUNDING)
    (step,) = [step for step in result.steps if step.name == "scales and shifts"]
    assert step.count >= least
    assert not step.note
    for before, now in zip(answers(data, feeds), answers(result.model, feeds), strict=True):
        assert np.abs(before - now).max() <= 1e-5 * np.abs(before).max()
