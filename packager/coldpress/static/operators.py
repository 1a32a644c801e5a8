"""Which nodes ONNX Runtime can run on 8-bit integers, and what each one's inputs are.

The kernels are those that onnxruntime 1.31.1 puts in place of ``DequantizeLinear``, operator, ``QuantizeLinear`` on the
CPU (``qdq_selector_action_transformer.cc``). An operator that is not listed runs in float between the two.
"""

from collections import Counter
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.shrink.scopes import bodies, captured_names, input_names, is_standard, output_names

__all__ = ["ABSORBED", "ELEMENTWISE", "PASSING", "PRODUCTS", "Graph"]

PRODUCTS = ("Conv", "MatMul", "Gemm")
"""Operators that multiply by weights: nearly all bytes and nearly all time."""
ELEMENTWISE = ("Add", "Mul", "Sigmoid", "LeakyRelu", "Softmax", "Concat", "AveragePool", "GlobalAveragePool")
"""Operators with an integer kernel of their own that reads and writes scales."""
PASSING = ("MaxPool", "Resize", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split")
"""Operators that only move or choose values: they run on codes as they are where both sides share a scale."""
ABSORBED = ("Relu", "Clip")
"""Operators that the QuantizeLinear after them does by itself, because its range ends where theirs does."""
_UNARY = frozenset({*PASSING, *ABSORBED, "Sigmoid", "LeakyRelu", "Softmax", "AveragePool", "GlobalAveragePool"})


@dataclass(frozen=True)
class Graph:
    """The main graph of a model, with what must be known to choose nodes.

    A node goes by the name of its first output, which unlike its own name is unique.

    Attributes:
        nodes: Those that have an integer kernel, by first output.
        sources: For each of them, the activations that it reads.
        producers: The node that makes each value.
        uses: How often each value is read, as a graph's output too.
        outputs: What the graph answers.
        constants: Initialisers that no caller may override.
    """

    nodes: Mapping[str, NodeProto]
    sources: Mapping[str, tuple[str, ...]]
    producers: Mapping[str, NodeProto]
    uses: Counter[str]
    outputs: tuple[str, ...]
    constants: Mapping[str, TensorProto]

    @classmethod
    def of(cls, graph: GraphProto) -> "Graph":
        """Read ``graph``; its Constant nodes should have become initialisers."""
        overridable = set(input_names(graph))
        constants = {tensor.name: tensor for tensor in graph.initializer if tensor.name not in overridable}
        captured = captured_names(graph)
        nodes, sources = {}, {}
        for node in graph.node:
            if not node.output or captured.intersection(node.output):
                continue  # read inside a branch or loop, by its own name
            reads = _activations(node, constants)
            if reads:
                nodes[node.output[0]] = node
                sources[node.output[0]] = reads
        producers = {name: node for node in graph.node for name in node.output if name}
        uses = Counter(output_names(graph))
        for body in bodies(graph):
            for node in body.node:
                uses.update(filter(None, node.input))
        return cls(nodes, sources, producers, uses, tuple(output_names(graph)), constants)

    def within(self, known: Container[str]) -> "Graph":
        """Return the same graph with only the nodes all of whose activations and results are ``known``."""
        nodes = {
            name: node
            for name, node in self.nodes.items()
            if all(value in known for value in (*self.sources[name], *filter(None, node.output)))
        }
        return replace(self, nodes=nodes, sources={name: self.sources[name] for name in nodes})

    def source(self, name: str) -> str:
        """Return the node, by first output, that makes the value ``name``; nothing for an input or a constant."""
        node = self.producers.get(name)
        return node.output[0] if node is not None else ""

    def choose(self, exclude: Collection[str] = (), *, products: bool = False) -> frozenset[str]:
        """Return the nodes to compute with integers.

        All that can be, but for ``exclude``; with ``products`` only Conv, MatMul and Gemm and what they absorb.
        A node that only moves or joins values is taken where it lies between two products: it then saves a
        conversion to float and back, and costs accuracy for nothing elsewhere.
        """
        barred = set(exclude)
        chosen = {
            name
            for name, node in self.nodes.items()
            if name not in barred and (not products or node.op_type in (*PRODUCTS, *ABSORBED))
        }
        while lost := {name for name in chosen if not self._fits(name, chosen)}:
            chosen -= lost
        return frozenset(chosen)

    def _fits(self, name: str, chosen: set[str]) -> bool:
        node = self.nodes[name]
        if node.op_type in PRODUCTS:
            return True
        makers = [self.source(value) for value in self.sources[name]]
        if not any(maker in chosen for maker in makers):
            return False
        if node.op_type in ABSORBED:
            # Between them nothing may look in, and a chain of two would need two ranges.
            maker = self.nodes[makers[0]]
            return self.uses[self.sources[name][0]] == 1 and maker.op_type not in (*ABSORBED, *PASSING)
        return any(reader in chosen for output in node.output for reader in self.readers.get(output, ()))

    @property
    def readers(self) -> Mapping[str, list[str]]:
        """The nodes with an integer kernel that read each value, by first output."""
        found: dict[str, list[str]] = {}
        for name, values in self.sources.items():
            for value in values:
                found.setdefault(value, []).append(name)
        return found


def _activations(node: NodeProto, constants: Mapping[str, TensorProto]) -> tuple[str, ...]:
    """Return the activations that ``node`` reads, nothing where it has no integer kernel."""
    inputs = list(node.input)
    if is_standard(node, *_UNARY):
        return (inputs[0],) if inputs[0] not in constants and _plain(node, constants) else ()
    if is_standard(node, "Conv"):
        known = all(_float(constants, name) for name in inputs[1:] if name)
        return (inputs[0],) if known and inputs[0] not in constants else ()
    if is_standard(node, "Gemm"):
        return (inputs[0],) if inputs[0] not in constants and _plain_gemm(node, constants) else ()
    if is_standard(node, "MatMul", "Add", "Mul"):
        variable = tuple(dict.fromkeys(name for name in inputs if name not in constants))
        left = is_standard(node, "MatMul") and inputs[0] in constants
        known = all(_float(constants, name) for name in inputs if name in constants)
        return variable if known and not left else ()
    if is_standard(node, "Concat") and not any(name in constants for name in inputs):
        return tuple(dict.fromkeys(inputs))
    return ()


def _plain(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether the integer kernel knows this way of using the operator."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "MaxPool":
        return len([name for name in node.output if name]) == 1 and not attributes.get("storage_order")
    if node.op_type == "Resize":
        return bool(attributes.get("mode", b"nearest") == b"nearest")
    if node.op_type == "AveragePool":
        return set(attributes.get("dilations", [1])) == {1} and not attributes.get("ceil_mode")
    if node.op_type == "Clip":
        return all(_float(constants, name) for name in node.input[1:] if name)
    return True


def _plain_gemm(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    """Whether a Gemm is x W + b: no factors, x not transposed, a bias for each column."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1 or attributes.get("transA"):
        return False
    if not all(_float(constants, name) for name in node.input[1:] if name):
        return False
    columns = constants[node.input[1]].dims[0 if attributes.get("transB") else 1]
    return len(node.input) < 3 or not node.input[2] or list(constants[node.input[2]].dims) in ([columns], [1, columns])


def _float(constants: Mapping[str, TensorProto], name: str) -> bool:
    tensor = constants.get(name)
    return (
        tensor is not None
        and tensor.data_type == TensorProto.FLOAT
        and tensor.data_location != TensorProto.EXTERNAL
        and bool(np.isfinite(numpy_helper.to_array(tensor)).all())
    )
