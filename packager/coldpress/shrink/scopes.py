"""Names and scopes of an ONNX model: which graph defines a name, who uses it, and how to rename it safely.

A *body* is the main graph, a graph inside an attribute of If, Loop, Scan and the like, or a local function. A graph
sees the names of the graphs around it; a function sees only its own. Every pass relies on one invariant, which
``unique_names`` establishes: within one root (the main graph, or one function) no name is defined twice, so a name
alone says where a value comes from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, MutableSequence
from itertools import count
from typing import Any, NamedTuple

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto

__all__ = [
    "STANDARD",
    "Body",
    "Scope",
    "bodies",
    "captured_names",
    "constants_of",
    "defined_names",
    "delete_at",
    "fresh_name",
    "input_names",
    "is_standard",
    "opset_of",
    "output_names",
    "pinned_names",
    "roots",
    "scopes",
    "scopes_in",
    "subgraphs",
    "substitute",
    "unique_names",
    "use_counts",
]

Body = GraphProto | FunctionProto
STANDARD = ("", "ai.onnx")
"""Both spellings of the standard operator set's domain."""


class Scope(NamedTuple):
    """A body in its place.

    ``root`` numbers the root it belongs to: 0 for the main graph, then the functions in order. ``depth`` is 0 for
    the root itself. ``opset`` is the version of the standard operator set in force.
    """

    body: Body
    root: int
    depth: int
    opset: int


def opset_of(holder: ModelProto | FunctionProto) -> int:
    """Return the version of the standard operator set, 1 where an old model does not say."""
    return max((entry.version for entry in holder.opset_import if entry.domain in STANDARD), default=1)


def is_standard(node: NodeProto, *op_types: str) -> bool:
    """Whether ``node`` is one of these operators of the standard set."""
    return node.op_type in op_types and node.domain in STANDARD


def subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    """Yield the graphs held by a node's attributes."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def roots(model: ModelProto) -> Iterator[Scope]:
    """Yield the main graph, then each local function."""
    yield Scope(model.graph, 0, 0, opset_of(model))
    for number, function in enumerate(model.functions, 1):
        yield Scope(function, number, 0, opset_of(function))


def scopes(model: ModelProto) -> Iterator[Scope]:
    """Yield every body of the model, each before the bodies inside it."""
    for root in roots(model):
        yield from scopes_in(root)


def scopes_in(scope: Scope) -> Iterator[Scope]:
    """Yield ``scope`` and every scope inside it; the nodes of each may be changed before asking for the next."""
    yield scope
    for node in scope.body.node:
        for graph in subgraphs(node):
            yield from scopes_in(scope._replace(body=graph, depth=scope.depth + 1))


def bodies(body: Body) -> Iterator[Body]:
    """Yield ``body`` and every body inside it."""
    yield body
    for node in body.node:
        for graph in subgraphs(node):
            yield from bodies(graph)


def input_names(body: Body) -> list[str]:
    """Return the names of a body's inputs, in order."""
    return list(body.input) if isinstance(body, FunctionProto) else [value.name for value in body.input]


def output_names(body: Body) -> list[str]:
    """Return the names of a body's outputs, in order."""
    return list(body.output) if isinstance(body, FunctionProto) else [value.name for value in body.output]


def constants_of(body: Body) -> Iterator[str]:
    """Yield the names of a body's initialisers, dense and sparse."""
    if isinstance(body, GraphProto):
        for tensor in body.initializer:
            yield tensor.name
        for sparse in body.sparse_initializer:
            yield sparse.values.name


def defined_names(body: Body) -> Iterator[str]:
    """Yield the names that a body itself defines; one that is both an input and an initialiser comes once."""
    inputs = input_names(body)
    yield from inputs
    known = set(inputs)
    yield from (name for name in constants_of(body) if name not in known)
    for node in body.node:
        yield from filter(None, node.output)


def pinned_names(root: Body) -> set[str]:
    """Return the names under ``root`` that are spoken of by something other than a node's input.

    Outputs of every body, and quantisation annotations. Such a name may neither vanish nor change its meaning.
    """
    pinned: set[str] = set()
    for body in bodies(root):
        pinned.update(output_names(body))
        if isinstance(body, GraphProto):
            for annotation in body.quantization_annotation:
                pinned.add(annotation.tensor_name)
                pinned.update(entry.value for entry in annotation.quant_parameter_tensor_names)
    return pinned


def captured_names(root: Body) -> set[str]:
    """Return the names that a graph under ``root`` reads from a graph around it."""
    captured: set[str] = set()
    for body in bodies(root):
        own = set(defined_names(body))
        captured.update(name for node in body.node for name in node.input if name and name not in own)
    return captured


def use_counts(root: Body) -> Counter[str]:
    """Count the uses of each name under ``root``: as a node's input, as a body's output, in an annotation."""
    uses: Counter[str] = Counter(pinned_names(root))
    for body in bodies(root):
        for node in body.node:
            uses.update(filter(None, node.input))
    return uses


def substitute(root: Body, mapping: Mapping[str, str]) -> None:
    """Make every node under ``root`` read ``mapping[name]`` where it read ``name``, following chains to their end."""
    if not mapping:
        return
    final: dict[str, str] = {}
    for name in mapping:
        target = mapping[name]
        while target in mapping:
            target = mapping[target]
        final[name] = target
    for body in bodies(root):
        for node in body.node:
            for index, name in enumerate(node.input):
                if name in final:
                    node.input[index] = final[name]


def delete_at(sequence: MutableSequence[Any], places: Iterable[int]) -> None:
    """Delete the elements at ``places``, ascending, of a repeated field."""
    for place in reversed(list(places)):
        del sequence[place]


def fresh_name(taken: set[str], stem: str) -> str:
    """Return ``stem``, or ``stem`` with the first free number after it, and add it to ``taken``."""
    name = stem
    for number in count(1):
        if name and name not in taken:
            break
        name = f"{stem}_{number}"
    taken.add(name)
    return name


def unique_names(model: ModelProto) -> int:
    """Rename values of inner graphs so that no name is defined twice under one root; return how many were renamed.

    Names inside an inner graph are its own affair: inputs and outputs of bodies are matched by position.
    """
    renamed = 0
    for root in roots(model):
        seen = set(defined_names(root.body))
        reserved = set(seen)
        for body in bodies(root.body):
            reserved.update(defined_names(body))
        renamed += sum(
            _rename_inside(graph, {}, seen, reserved) for node in root.body.node for graph in subgraphs(node)
        )
    return renamed


def _rename_inside(graph: GraphProto, outer: dict[str, str], seen: set[str], reserved: set[str]) -> int:
    """Rename in ``graph``, given the new names ``outer`` of the graphs around it."""
    own = list(dict.fromkeys(defined_names(graph)))
    clashes = {name: fresh_name(reserved, name) for name in own if name in seen}
    seen.update(clashes.get(name, name) for name in own)
    names = {name: new for name, new in outer.items() if name not in set(own)} | clashes
    count_ = len(clashes)
    if names:
        for value in (*graph.input, *graph.output, *graph.value_info):
            value.name = names.get(value.name, value.name)
        for tensor in graph.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        for annotation in graph.quantization_annotation:
            annotation.tensor_name = names.get(annotation.tensor_name, annotation.tensor_name)
            for entry in annotation.quant_parameter_tensor_names:
                entry.value = names.get(entry.value, entry.value)
    for node in graph.node:
        if names:
            for field in (node.input, node.output):
                for index, name in enumerate(field):
                    if name in names:
                        field[index] = names[name]
        count_ += sum(_rename_inside(inner, names, seen, reserved) for inner in subgraphs(node))
    return count_
