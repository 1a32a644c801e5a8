"""Names that only the file itself uses become as short as they can be.

Exporters name every value after the module path it comes from; in a small model that is up to a third of the file.
Nothing but the model's own inputs and outputs is ever named by a caller.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count, product
from string import ascii_letters

from onnx import GraphProto, ModelProto, ValueInfoProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import STANDARD, bodies, defined_names, subgraphs

__all__ = ["shorten_names"]


def shorten_names(draft: Draft) -> int:
    """Clear nodes' names and shorten those of values, weights and symbolic dimensions; return how many names changed.

    The most used get the shortest. Runs last: nothing can be found by its old name afterwards.

    Kept: names of the main graph's inputs and outputs and the dimensions these declare, names in annotations, and all
    names in functions and in graphs inside operators of other domains (BeamSearch finds its decoder's inputs by name).

    Guarantee: the graph is the same but for names, which no kernel reads.
    """
    graphs = list(_graphs(draft.proto.graph))
    named = [node for graph in graphs for node in graph.node if node.name]
    for node in named:
        node.ClearField("name")
    return len(named) + _rename_values(draft.proto, graphs) + _rename_dimensions(draft.proto, graphs)


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    """Yield ``graph`` and those inside it, but for graphs inside operators of other domains."""
    yield graph
    for node in graph.node:
        if node.domain in STANDARD:
            for inner in subgraphs(node):
                yield from _graphs(inner)


def _values(graph: GraphProto) -> Iterator[ValueInfoProto]:
    yield from graph.input
    yield from graph.output
    yield from graph.value_info


def _rename_values(model: ModelProto, graphs: list[GraphProto]) -> int:
    uses: Counter[str] = Counter()
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    for graph in graphs:
        uses.update(defined_names(graph))
        uses.update(name for node in graph.node for name in node.input if name)
        uses.update(value.name for value in _values(graph))
        for annotation in graph.quantization_annotation:
            kept.add(annotation.tensor_name)
            kept.update(entry.value for entry in annotation.quant_parameter_tensor_names)
        kept.update(_foreign_names(graph))
    names = _shorter(uses, kept)
    for graph in graphs:
        for value in _values(graph):
            value.name = names.get(value.name, value.name)
        for tensor in graph.initializer:
            tensor.name = names.get(tensor.name, tensor.name)
        for sparse in graph.sparse_initializer:
            sparse.values.name = names.get(sparse.values.name, sparse.values.name)
        for node in graph.node:
            for field in (node.input, node.output):
                field[:] = [names.get(name, name) for name in field]
    return sum(old != new for old, new in names.items())


def _foreign_names(graph: GraphProto) -> Iterator[str]:
    """Yield every name that the graphs inside operators of other domains define or read."""
    for node in graph.node:
        if node.domain not in STANDARD:
            for inner in subgraphs(node):
                for body in bodies(inner):
                    yield from defined_names(body)
                    yield from (name for inside in body.node for name in inside.input)


def _rename_dimensions(model: ModelProto, graphs: list[GraphProto]) -> int:
    """Shorten symbols of dimensions, such as a formula of 300 letters, where no input or output of the model has it."""
    symbols = [
        [dim for value in _values(graph) for dim in value.type.tensor_type.shape.dim if dim.dim_param]
        for graph in graphs
    ]
    public = (*model.graph.input, *model.graph.output)
    kept = {dim.dim_param for value in public for dim in value.type.tensor_type.shape.dim}
    names = _shorter(Counter(dim.dim_param for dims in symbols for dim in dims), kept)
    for dims in symbols:
        for dim in dims:
            dim.dim_param = names.get(dim.dim_param, dim.dim_param)
    return sum(old != new for old, new in names.items())


def _shorter(uses: Counter[str], kept: set[str]) -> dict[str, str]:
    """Return new names for all in ``uses`` but those ``kept``, the most used first; the same again the next time."""
    fresh = (name for length in count(1) for letters in product(ascii_letters, repeat=length)
             if (name := "".join(letters)) not in kept)  # fmt: skip
    ranked = sorted((name for name in uses if name not in kept), key=lambda name: -uses[name])
    return dict(zip(ranked, fresh, strict=False))
