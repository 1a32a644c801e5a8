"""Which outputs of a model depend on chance: no two runs give the same values there, not even of the same file."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

__all__ = ["RANDOM", "drawn_outputs"]

RANDOM = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Operators whose answers differ from run to run, or may; a seed fixes a session's first run, not its second."""
_STANDARD = ("", "ai.onnx")
_CONTRIBUTED = frozenset({("com.microsoft", "Sampling")})


def drawn_outputs(model: "ModelProto") -> frozenset[str]:
    """Return the names of the outputs that random operators reach, through subgraphs and local functions too.

    Too many rather than too few: all outputs of an ``If``, ``Loop``, ``Scan`` or local function count when anything
    inside draws.
    """
    rest = _false_constants(model)
    random_functions: set[tuple[str, str]] = set()
    while more := {
        key
        for function in model.functions
        if (key := (function.domain, function.name)) not in random_functions
        and any(_draws(node, rest, random_functions) for node in function.node)
    }:
        random_functions |= more
    drawn: set[str] = set()
    for node in model.graph.node:
        if _draws(node, rest, random_functions) or any(name in drawn for name in _reads(node)):
            drawn.update(filter(None, node.output))
    return frozenset(drawn & {output.name for output in model.graph.output})


def _draws(node: "NodeProto", rest: frozenset[str], functions: set[tuple[str, str]]) -> bool:
    key = (node.domain, node.op_type)
    if key in functions or key in _CONTRIBUTED or any(_draws(n, rest, functions) for n in _inner(node)):
        return True
    if node.domain not in _STANDARD or node.op_type not in RANDOM:
        return False
    # Dropout drops only where its third input, training_mode, says so (ONNX, opset 12); before, never while inferring.
    return node.op_type != "Dropout" or (len(node.input) > 2 and bool(node.input[2]) and node.input[2] not in rest)


def _inner(node: "NodeProto") -> Iterator["NodeProto"]:
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from graph.node


def _reads(node: "NodeProto") -> Iterator[str]:
    yield from filter(None, node.input)
    for inner in _inner(node):
        yield from _reads(inner)


def _false_constants(model: "ModelProto") -> frozenset[str]:
    """Return the names of the graph's own constants that are false; an input of the same name may override one."""
    open_names = {value.name for value in model.graph.input}
    tensors: Iterable[tuple[str, TensorProto]] = [(tensor.name, tensor) for tensor in model.graph.initializer]
    constants = [
        (node.output[0], attribute.t)
        for node in model.graph.node
        if node.op_type == "Constant" and node.domain in _STANDARD
        for attribute in node.attribute
        if attribute.name == "value"
    ]
    return frozenset(name for name, tensor in (*tensors, *constants) if name not in open_names and _is_false(tensor))


def _is_false(tensor: "TensorProto") -> bool:
    from onnx import TensorProto

    return tensor.data_type == TensorProto.BOOL and not any(tensor.raw_data) and not any(tensor.int32_data)
