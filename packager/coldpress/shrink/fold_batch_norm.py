"""A BatchNormalization after a Conv becomes part of the Conv's weights.

This is the one pass that rounds: the products of weights and scales are rounded once here instead of the values being
scaled at run time. ONNX Runtime makes the same fusion at every load from optimisation level "basic" on, in float32 and
in this order (``conv_bn_fusion.cc``), so there the answers stay the same bit for bit; with optimisation disabled they
differ by about 1e-6 of the largest. It is therefore not among the lossless passes.
"""

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

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

__all__ = ["fold_batch_norm"]

_EPSILON = 1e-5
"""The operator's default (ONNX operator reference, BatchNormalization)."""


def fold_batch_norm(draft: Draft) -> int:
    """Fold each inference-mode BatchNormalization into the Conv before it; return how many.

    Only where nothing else reads that Conv, or its weight, which would otherwise be stored twice.
    """
    if draft.proto.ir_version < 4:
        return 0
    constants = Constants(draft)
    root = next(roots(draft.proto))
    uses, pinned = use_counts(root.body), pinned_names(root.body)
    taken = {name for scope in scopes_in(root) for name in defined_names(scope.body)}
    folded = 0
    for scope in scopes_in(root):
        graph = scope.body
        if not isinstance(graph, GraphProto):
            continue
        convs = {node.output[0]: node for node in graph.node if is_standard(node, "Conv")}
        gone: list[int] = []
        for place, norm in enumerate(graph.node):
            conv = convs.get(norm.input[0]) if is_standard(norm, "BatchNormalization") else None
            if conv is None or uses[conv.output[0]] != 1 or conv.output[0] in pinned or uses[conv.input[1]] != 1:
                continue
            weights = _folded(scope, conv, norm, constants)
            if weights is None:
                continue
            names = [fresh_name(taken, f"{conv.input[1]}_{part}") for part in ("w", "b")]
            made = [numpy_helper.from_array(array, name) for array, name in zip(weights, names, strict=True)]
            draft.set_aside(made)
            graph.initializer.extend(made)
            inputs = [conv.input[0], *names]
            del conv.input[:]
            conv.input.extend(inputs)
            conv.output[0] = norm.output[0]
            gone.append(place)
        delete_at(graph.node, gone)
        folded += len(gone)
    if folded:
        drop_unused_initializers(draft)
    return folded


def _folded(scope: Scope, conv: NodeProto, norm: NodeProto, constants: Constants) -> list[np.ndarray] | None:
    """Return the new weight and bias, None where something is not constant float32 or the norm is in training mode."""
    attributes = {attribute.name: attribute for attribute in norm.attribute}
    training = attributes.get("training_mode")
    if any(name for name in norm.output[1:]) or (training is not None and training.i) or scope.opset < 7:
        return None
    names = [conv.input[1], *norm.input[1:5], *([conv.input[2]] if len(conv.input) > 2 and conv.input[2] else [])]
    for name in names:
        tensor = constants.tensor(scope, name)
        if tensor is None or tensor.data_type != TensorProto.FLOAT or tensor.data_location == TensorProto.EXTERNAL:
            return None
    weight, scale, shift, mean, variance, *bias = (constants.array(scope, name) for name in names)
    epsilon = np.float32(attributes["epsilon"].f if "epsilon" in attributes else _EPSILON)
    factor = scale / np.sqrt(variance + epsilon)
    scaled = weight * factor.reshape(-1, *([1] * (weight.ndim - 1)))
    moved = (bias[0] - mean) * factor + shift if bias else shift - mean * factor
    if not (np.isfinite(scaled).all() and np.isfinite(moved).all()):
        return None
    return [np.ascontiguousarray(scaled, np.float32), np.ascontiguousarray(moved, np.float32)]
