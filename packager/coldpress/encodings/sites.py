"""Which weights of a model may be encoded, and what reads them how."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto

from coldpress.encodings.encoding import Reader, Role, Site
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import untouchable
from coldpress.shrink.scopes import STANDARD, bodies, input_names, opset_of, pinned_names

__all__ = ["find_sites"]

_FIRST_OPSET = 7
"""Before it, operators broadcast only where an attribute says so."""
_SHORT = 16
"""A channel of fewer values does not earn a scale of its own."""
_EXACT = ("quant", "qlinear", "qgemm", "qattention", "qmoe", "nbits", "integer")
"""Parts of the names, in lower case, of operators that compute with codes: the scales they read stay as they are."""
_FORWARDS = ("Cast", "Identity", "Transpose")
"""Operators behind which a weight is still the same weight, its axes perhaps in another order."""


class _Use(NamedTuple):
    role: Role
    axis: int | None


def find_sites(draft: Draft, least: int = 1024) -> tuple[Site, ...]:
    """Return the float32 initialisers of at least ``least`` values that may be encoded, in the model's order.

    Those of inner graphs count too: the draft's names must be unique (``unique_names``), and weights must be
    initialisers (``hoist_constants``). Left out: what a caller may override, what is an output of a graph, what
    operators on codes read (they want their scales as they are), external data, and tensors with values that are not
    finite, which are masks. A model below opset 7 has no sites, nor has one that is ``untouchable``. Weights of float16
    and float64 are no sites.
    """
    if opset_of(draft.proto) < _FIRST_OPSET or untouchable(draft.proto):
        return ()
    main = draft.proto.graph
    pinned = pinned_names(main)
    reads = _reads(main)
    found = (
        _site(draft, tensor, reads)
        for body in bodies(main)
        if isinstance(body, GraphProto)
        for tensor in body.initializer
        if tensor.data_type == TensorProto.FLOAT
        and tensor.data_location != TensorProto.EXTERNAL
        and tensor.name in reads
        and tensor.name not in pinned
        and tensor.name not in input_names(body)
        and int(np.prod(tensor.dims, dtype=np.int64)) >= max(1, least)
    )
    return tuple(site for site in found if site is not None)


def _reads(main: GraphProto) -> dict[str, list[tuple[NodeProto, int]]]:
    """Return the nodes that read each name, with the position of the input."""
    reads: dict[str, list[tuple[NodeProto, int]]] = {}
    for body in bodies(main):
        for node in body.node:
            for position, name in enumerate(node.input):
                if name:
                    reads.setdefault(name, []).append((node, position))
    return reads


def _site(draft: Draft, tensor: TensorProto, reads: dict[str, list[tuple[NodeProto, int]]]) -> Site | None:
    shape = tuple(tensor.dims)
    readers = tuple(Reader(node.op_type, node.domain, position) for node, position in reads[tensor.name])
    if any(part in reader.op_type.lower() for reader in readers for part in _EXACT):
        return None
    values = draft.array(tensor)
    largest = float(np.abs(values).max())
    if not np.isfinite(largest):
        return None
    uses = set(_uses(tensor.name, tuple(range(len(shape))), reads))
    axes = {use.axis for use in uses}
    role = next(iter(uses)).role if len(uses) == 1 else "other"
    axis = axes.pop() if len(axes) == 1 else None
    if axis is None or (role == "other" and values.size < _SHORT * shape[axis]):
        axis = _some_axis(shape)
    return Site(tensor.name, shape, values.nbytes, readers, role, axis, largest)


def _uses(name: str, order: tuple[int, ...], reads: dict[str, list[tuple[NodeProto, int]]]) -> Iterator[_Use]:
    """Yield how each reader uses a weight whose axes come to it in ``order``."""
    for node, position in reads.get(name, ()):
        if node.domain in STANDARD and node.op_type in _FORWARDS:
            behind = _permutation(node, order) if node.op_type == "Transpose" else order
            yield from (use._replace(role="other") for use in _uses(node.output[0], behind, reads))
        else:
            role, place = _use(node, position, len(order))
            yield _Use(role, None if place is None else order[place])


def _use(node: NodeProto, position: int, rank: int) -> tuple[Role, int | None]:
    """Return the role of a weight in one reader, and along which of its axes output channels lie."""
    if node.domain not in STANDARD:
        return "other", None
    number = {attribute.name: attribute.i for attribute in node.attribute}
    match node.op_type, position:
        case "MatMul", 1 if rank >= 2:
            return "matmul", rank - 1
        case "MatMul", 0 if rank >= 2:
            return "other", rank - 2
        case "Gemm", 1 if rank == 2:
            return "gemm", 0 if number.get("transB") else 1
        case "Gemm", 0 if rank == 2:
            return "other", 1 if number.get("transA") else 0
        case "Conv", 1:
            return "conv", 0
        case "ConvTranspose", 1 if rank >= 2:
            # [in, out / groups, ...]; a group's outputs share its inputs, and may differ from the next group's
            return "conv", 1 if number.get("group", 1) == 1 else 0
        case "Gather", 0 if number.get("axis", 0) in (0, -rank) and rank:
            return "rows", 0
        case (("LSTM" | "GRU" | "RNN"), (1 | 2)) if rank == 3:
            return "recurrent", 1
        case _:
            return "other", None


def _permutation(node: NodeProto, order: tuple[int, ...]) -> tuple[int, ...]:
    given = next((tuple(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), None)
    return tuple(order[place] for place in given) if given else order[::-1]


def _some_axis(shape: tuple[int, ...]) -> int | None:
    """Return the first axis along which slices are long enough for a scale each."""
    elements = int(np.prod(shape, dtype=np.int64))
    return next((axis for axis, size in enumerate(shape) if size > 1 and elements >= _SHORT * size), None)
