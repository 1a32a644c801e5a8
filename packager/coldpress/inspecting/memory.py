"""How much memory a model takes while it is opened, told from the file: weights, and what ONNX Runtime makes of them.

A file of 9 kB can take 900 MB: ``ConstantOfShape`` says "a million zeros" in a few bytes, and ONNX Runtime computes
every node whose inputs are constant while it opens the model. It also keeps weights twice (as parsed and as tensors),
weights inside branches more often, and rearranges those of convolutions and matrix products.

How often, was measured with onnxruntime 1.31.1 on x86-64 on 21 models from 0.07 to 32 MB and the nine of the onnx
wheel that make their weights themselves (``backend/test/data/light``), in fresh processes that opened the model with
one thread and no request: see ``PEAKS`` in the tests for each figure and how far the prediction is from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import AttributeProto, ModelProto, NodeProto

from coldpress.inspecting.sizing import Everywhere
from coldpress.model.random_ops import RANDOM
from coldpress.model.tensors import ELEMENT_BITS, declared_bytes
from coldpress.shrink.draft import Draft
from coldpress.shrink.fold_constants import fold_constants
from coldpress.shrink.hoist_constants import hoist_constants
from coldpress.shrink.modernize_inputs import modernize_inputs
from coldpress.shrink.scopes import STANDARD, Scope, input_names, scopes, subgraphs, unique_names

__all__ = ["ENGINE_BYTES", "LoadMemory", "load_memory"]

ENGINE_BYTES = 37_000_000
"""Of a process that has the lean engine and its library loaded and a model of one node open."""
_MAIN_COPIES = 2.0  # as parsed, and as a tensor
_BRANCH_COPIES = 2.0  # as parsed, and as a tensor, ...
_DEPTH_COPIES = 4.0  # ... and for each graph around it, in the attribute, the graph, the branch and its copy
_CONV_COPIES = 0.8  # in blocks for the CPU's vectors; as much again with a BatchNormalization folded in
_NODE_BYTES = 4000
_TREE_ENTRY_BYTES = {"TreeEnsemble": 73}
_OTHER_ENTRY_BYTES = 42  # of TreeEnsembleClassifier and -Regressor, by entry of their lists
_NOT_FOLDED = frozenset({"QuantizeLinear", "DequantizeLinear"}) | RANDOM
_PRODUCTS = {"MatMul": (1,), "Gemm": (1,), "LSTM": (1, 2), "GRU": (1, 2), "RNN": (1, 2)}


@dataclass(frozen=True)
class LoadMemory:
    """Bytes at the peak while a model is opened, over those of an engine without one.

    Attributes:
        weights: What the file holds, as parsed and as tensors.
        computed: What nodes with constant inputs give; they are computed once, and kept.
        rearranged: Copies of weights in the order that kernels want them.
        trees: Tree ensembles, from their attributes.
        graph: Nodes, names and kernels.
        unknown: Nodes with constant inputs whose size could not be told.
    """

    weights: int
    computed: int
    rearranged: int
    trees: int
    graph: int
    unknown: int = 0

    @property
    def bytes(self) -> int:
        """All of it together."""
        return self.weights + self.computed + self.rearranged + self.trees + self.graph

    @property
    def engine_bytes(self) -> int:
        """What the process takes without the model."""
        return ENGINE_BYTES

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {"bytes": self.bytes, **vars(self), "engine_bytes": self.engine_bytes}


@dataclass
class _Ledger:
    """Sums by kind, and the size of each constant by name."""

    sizes: dict[str, int]
    weights: float = 0.0
    computed: int = 0
    conv: float = 0.0
    largest_product: int = 0
    trees: int = 0
    nodes: int = 0
    unknown: int = 0


def load_memory(model: ModelProto) -> LoadMemory:
    """Predict the peak while ONNX Runtime opens ``model``, which is not run and left as it is."""
    draft = Draft(model)
    unique_names(draft.proto)
    if draft.proto.ir_version < 4:
        modernize_inputs(draft)  # weights, although inputs too; from version 4 on those are defaults, never folded
    hoist_constants(draft)
    fold_constants(draft, Everywhere)  # shapes only: whatever would take more room than its sources stays a node
    types = Everywhere(draft)
    ledger = _Ledger({})
    for scope in scopes(draft.proto):
        _add_weights(ledger, scope)
        normed = {node.input[0] for node in scope.body.node if node.op_type == "BatchNormalization"}
        for node in scope.body.node:
            ledger.nodes += 1
            if _is_folded(ledger, node):
                _add_computed(ledger, scope, node, types)
            elif node.op_type in {"Conv", "ConvTranspose", "FusedConv"}:
                size = ledger.sizes.get(node.input[1], 0)
                ledger.conv += _CONV_COPIES * size * (2 if node.output[0] in normed else 1)
            elif node.op_type in _PRODUCTS:
                size = sum(ledger.sizes.get(node.input[place], 0) for place in _PRODUCTS[node.op_type])
                ledger.largest_product = max(ledger.largest_product, size)
            elif node.op_type.startswith("TreeEnsemble"):
                ledger.trees += _TREE_ENTRY_BYTES.get(node.op_type, _OTHER_ENTRY_BYTES) * sum(
                    map(_entries, node.attribute)
                )
    return LoadMemory(
        weights=int(ledger.weights),
        computed=ledger.computed,
        rearranged=int(max(ledger.conv, ledger.largest_product)),
        trees=ledger.trees,
        graph=_NODE_BYTES * ledger.nodes,
        unknown=ledger.unknown,
    )


def _add_weights(ledger: _Ledger, scope: Scope) -> None:
    overridable = set(input_names(scope.body))
    copies = _BRANCH_COPIES + _DEPTH_COPIES * scope.depth if scope.depth else _MAIN_COPIES
    for tensor in getattr(scope.body, "initializer", ()):
        size = declared_bytes(tensor, f"tensor {tensor.name!r}")
        if size is None:  # strings, each an object of its own
            size = sum(32 + len(text) for text in tensor.string_data)
        ledger.weights += size * (1.0 if tensor.data_location == tensor.EXTERNAL else copies)
        if tensor.name not in overridable:
            ledger.sizes[tensor.name] = size
    for node in scope.body.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                ledger.weights += copies * (declared_bytes(attribute.t, node.name) or 0)


def _is_folded(ledger: _Ledger, node: NodeProto) -> bool:
    """Whether ONNX Runtime computes the node while it opens the model."""
    if node.domain not in STANDARD or node.op_type in _NOT_FOLDED or any(True for _ in subgraphs(node)):
        return False
    return all(name in ledger.sizes for name in node.input if name)


def _add_computed(ledger: _Ledger, scope: Scope, node: NodeProto, types: Everywhere) -> None:
    for name in filter(None, node.output):
        shape, element = types.shape(scope, name), types.element(scope, name)
        bits = ELEMENT_BITS.get(element)
        if shape is None or None in shape or bits is None:
            ledger.unknown += 1
            ledger.sizes[name] = 0
            continue
        ledger.sizes[name] = prod(_known(shape)) * bits // 8
        ledger.computed += ledger.sizes[name]


def _known(shape: list[int | None]) -> Iterator[int]:
    yield from (size for size in shape if size is not None)


def _entries(attribute: AttributeProto) -> int:
    tensor = prod(attribute.t.dims) if attribute.HasField("t") else 0
    return tensor + len(attribute.ints) + len(attribute.floats) + len(attribute.strings)
