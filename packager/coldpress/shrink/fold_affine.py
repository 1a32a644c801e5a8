"""What scales and shifts each channel after a convolution or matrix product becomes part of its weights.

BatchNormalization in inference mode, and Mul, Div, Add and Sub by a constant (converters from Paddle and TensorFlow
write those), after Conv, ConvTranspose, Gemm and MatMul.

This is the one pass that rounds: the products of weights and scales are rounded once here instead of the values being
scaled at run time. ONNX Runtime makes most of these fusions for Conv at every load from optimisation level "basic" on,
in float32 and in this order (``conv_bn_fusion.cc``, ``conv_mul_fusion.cc``, ``conv_add_fusion.cc``), so there the
answers stay the same bit for bit; elsewhere they differ by about 1e-6 of the largest. It is therefore not among the
lossless passes.
"""

from collections import Counter
from dataclasses import dataclass
from math import prod

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.shrink.constants import Constants
from coldpress.shrink.dead_code import drop_unused_initializers
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import (
    Scope,
    defined_names,
    delete_at,
    fresh_name,
    is_standard,
    pinned_names,
    roots,
    scopes_in,
    use_counts,
)

__all__ = ["fold_affine"]

_EPSILON = 1e-5
"""The operator's default (ONNX operator reference, BatchNormalization)."""
_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_FOLLOWERS = ("BatchNormalization", "Mul", "Div", "Add", "Sub")
_OPSET = 7
"""Before, broadcasting was an attribute, and Gemm and BatchNormalization had other ones."""


@dataclass
class _Product:
    """A product whose weight only it reads: ``axis`` is that of the weight's output channels."""

    node: NodeProto
    weight: np.ndarray
    bias: np.ndarray | None
    axis: int
    groups: int = 1
    folded: int = 0

    @property
    def channels(self) -> int:
        """Channels of the output."""
        return int(self.weight.shape[self.axis]) * self.groups

    def scaled(self, factor: np.ndarray) -> np.ndarray:
        """Return the weight with each output channel times its entry of ``factor`` [channels]."""
        shape = [1] * self.weight.ndim
        shape[self.axis] = -1
        if self.groups == 1:
            return np.asarray(self.weight * factor.reshape(shape))
        # ConvTranspose: [C_in, C_out / groups, ...], of which each group takes a share of the rows.
        apart = self.weight.reshape(self.groups, -1, *self.weight.shape[1:])
        return np.asarray((apart * factor.reshape(self.groups, *shape)).reshape(self.weight.shape))


def fold_affine(draft: Draft) -> int:
    """Fold each scaling and shifting node into the product before it; return how many.

    Only where nothing else reads the product, or its weight, which would otherwise be stored twice; where all is
    constant float32 and stays finite; and where a bias that is not there yet takes no more room than what it replaces.
    """
    root = next(roots(draft.proto))
    if draft.proto.ir_version < 4 or root.opset < _OPSET:
        return 0
    constants = Constants(draft)
    uses, pinned = use_counts(root.body), pinned_names(root.body)
    taken = {name for scope in scopes_in(root) for name in defined_names(scope.body)}
    folded = 0
    for scope in scopes_in(root):
        if isinstance(scope.body, GraphProto):
            folded += _fold_in(draft, scope, scope.body, constants, uses, pinned, taken)
    if folded:
        drop_unused_initializers(draft)
    return folded


def _fold_in(
    draft: Draft,
    scope: Scope,
    graph: GraphProto,
    constants: Constants,
    uses: Counter[str],
    pinned: set[str],
    taken: set[str],
) -> int:
    ends: dict[str, _Product] = {}
    gone: list[int] = []
    for place, node in enumerate(graph.node):
        if is_standard(node, *_PRODUCTS):
            product = _product(scope, node, constants, uses)
            if product is not None:
                ends[node.output[0]] = product
        elif is_standard(node, *_FOLLOWERS):
            name = next((name for name in node.input if name in ends), "")
            if not name or uses[name] != 1 or name in pinned:
                continue
            product = ends[name]
            if _fold(scope, product, node, node.input[:].index(name), constants):
                del ends[name]
                product.node.output[0] = node.output[0]
                ends[node.output[0]] = product
                gone.append(place)
    for product in ends.values():
        if product.folded:
            _store(draft, graph, product, taken)
    delete_at(graph.node, gone)
    return len(gone)


def _product(scope: Scope, node: NodeProto, constants: Constants, uses: Counter[str]) -> _Product | None:
    """Return what is known of a product; None where its weight or bias is not its own, constant and plain."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    weight = _floats(scope, node.input[1], constants)
    if weight is None or uses[node.input[1]] != 1 or weight.ndim < 2:
        return None
    bias = None
    if len(node.input) > 2 and node.input[2]:
        bias = _floats(scope, node.input[2], constants)
        if bias is None:
            return None
    match node.op_type:
        case "Conv":
            product = _Product(node, weight, bias, axis=0)
        case "ConvTranspose":
            product = _Product(node, weight, bias, axis=1, groups=int(given.get("group", 1)))
        case "Gemm":
            if given.get("alpha", 1.0) != 1.0 or given.get("beta", 1.0) != 1.0:
                return None
            product = _Product(node, weight, bias, axis=0 if given.get("transB", 0) else 1)
        case _:
            product = _Product(node, weight, None, axis=1)
            if weight.ndim != 2:
                return None
    if product.bias is not None:
        if product.bias.size != product.channels or product.bias.shape[-1] != product.channels:
            return None
        product.bias = product.bias.reshape(-1)
    return product


def _floats(scope: Scope, name: str, constants: Constants) -> np.ndarray | None:
    tensor = constants.tensor(scope, name)
    if tensor is None or tensor.data_type != TensorProto.FLOAT or tensor.data_location == TensorProto.EXTERNAL:
        return None
    return constants.array(scope, name)


def _fold(scope: Scope, product: _Product, node: NodeProto, side: int, constants: Constants) -> bool:
    """Make ``node`` part of ``product``; False, with nothing changed, where that cannot be done."""
    if node.op_type == "BatchNormalization":
        return side == 0 and _fold_norm(scope, product, node, constants)
    other = _floats(scope, node.input[1 - side], constants)
    if other is None or (side == 1 and node.op_type in {"Div", "Sub"}):
        return False
    vector = _per_channel(product, other)
    if vector is None:
        return False
    with np.errstate(all="ignore"):
        if node.op_type in {"Mul", "Div"}:
            factor = np.broadcast_to(vector, product.channels)
            if node.op_type == "Div":
                factor = np.float32(1) / factor
            bias = None if product.bias is None else product.bias * factor
            return _accept(product, product.scaled(factor), bias)
        if product.bias is None and (vector.size != product.channels or product.node.op_type == "MatMul"):
            return False  # a new bias would be larger than the constant; MatMul has none
        before = np.float32(0) if product.bias is None else product.bias
        return _accept(product, product.weight, before + vector if node.op_type == "Add" else before - vector)


def _fold_norm(scope: Scope, product: _Product, norm: NodeProto, constants: Constants) -> bool:
    attributes = {attribute.name: attribute for attribute in norm.attribute}
    training = attributes.get("training_mode")
    if any(name for name in norm.output[1:]) or (training is not None and training.i):
        return False
    if "spatial" in attributes and not attributes["spatial"].i:  # opset 7 and 8: a scale for each place, too
        return False
    if product.node.op_type == "MatMul":  # its channels are last, where the norm's are second; and it has no bias
        return False
    parts = [_floats(scope, name, constants) for name in norm.input[1:5]]
    known = [part for part in parts if part is not None]
    if len(known) < 4:
        return False
    scale, shift, mean, variance = known
    epsilon = np.float32(attributes["epsilon"].f if "epsilon" in attributes else _EPSILON)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + epsilon)
        moved = shift - mean * factor if product.bias is None else (product.bias - mean) * factor + shift
        return _accept(product, product.scaled(factor), moved)


def _per_channel(product: _Product, other: np.ndarray) -> np.ndarray | None:
    """Return the constant as a vector of one value or one a channel; None where it varies along another axis."""
    behind = 0 if product.node.op_type in {"Gemm", "MatMul"} else product.weight.ndim - 2  # axes after the channels
    rank = 1 if product.node.op_type == "MatMul" else behind + 2  # a MatMul's output has any rank from 1
    if other.ndim > rank:
        return None
    if other.size == 1:
        return other.reshape(-1)
    if other.ndim <= behind or prod(other.shape) != product.channels:
        return None
    return other.reshape(-1) if other.shape[other.ndim - 1 - behind] == product.channels else None


def _accept(product: _Product, weight: np.ndarray, bias: np.ndarray | None) -> bool:
    if not np.isfinite(weight).all() or (bias is not None and not np.isfinite(bias).all()):
        return False
    product.weight, product.bias = weight, bias
    product.folded += 1
    return True


def _store(draft: Draft, graph: GraphProto, product: _Product, taken: set[str]) -> None:
    """Put the new weight, and bias where there is one, in the place of the old ones."""
    arrays = {"w": product.weight} | ({} if product.bias is None else {"b": product.bias})
    stem = product.node.input[1]
    names = [fresh_name(taken, f"{stem}_{part}") for part in arrays]
    made = [
        numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
        for array, name in zip(arrays.values(), names, strict=True)
    ]
    draft.set_aside(made)
    graph.initializer.extend(made)
    product.node.input[:] = [product.node.input[0], *names]
