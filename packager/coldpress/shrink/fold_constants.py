"""Arithmetic on constants, shapes above all, done once here instead of at every start.

The engine folds constants too, at every load. Only operators whose result is the same on every CPU are folded, never
one that draws random numbers, and never where the file would grow: a value that is larger than a few numbers must be
no larger than what it is made of, and what it is made of must thereby fall away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from coldpress.model.tensors import ELEMENT_BITS
from coldpress.shrink.constants import Constants
from coldpress.shrink.dead_code import drop_unused_initializers
from coldpress.shrink.dedup_weights import dedup_weights
from coldpress.shrink.draft import Draft
from coldpress.shrink.evaluate import EXACT, EXACT_ON_INTEGERS, evaluate, most_elements
from coldpress.shrink.scopes import STANDARD, Scope, delete_at, pinned_names, roots, scopes_in, subgraphs
from coldpress.shrink.types import Types

__all__ = ["fold_constants"]

_SMALL = 256
"""Bytes of a value that may always be stored: about what the node that computes it takes in the file."""


@dataclass
class _Folding:
    """What is known while a root is folded: values by name, the nodes they come from, the weights they are made of."""

    draft: Draft
    constants: Constants
    types: Types
    most: int | None
    values: dict[str, np.ndarray] = field(default_factory=dict)
    made_of: dict[str, frozenset[str]] = field(default_factory=dict)
    folded: dict[str, NodeProto] = field(default_factory=dict)


def fold_constants(draft: Draft, infer: Callable[[Draft], Types] = Types) -> int:
    """Replace nodes whose outputs are known by initialisers, in inner graphs too; return how many nodes went.

    Functions are left alone: they have no initialisers to put the values in. ``infer`` tells what is known of shapes.
    """
    if draft.proto.ir_version < 4:
        return 0
    before, size = draft.snapshot(), draft.size()
    for most in (None, _SMALL):
        if not (count := _fold(draft, most, infer)):
            return 0
        if draft.size() <= size:
            return count
        draft.proto.CopyFrom(before)
    return 0


def _fold(draft: Draft, most: int | None, infer: Callable[[Draft], Types]) -> int:
    """Fold what pays, and no value of more than ``most`` bytes; the file may come out larger or smaller."""
    root = next(roots(draft.proto))
    pinned = pinned_names(root.body)
    work = _Folding(draft, Constants(draft), infer(draft), most)
    for scope in scopes_in(root):
        for node in scope.body.node:
            if not any(name in pinned for name in node.output):
                _try(work, scope, node)
    _keep_what_pays(work, root)
    if not work.folded:
        return 0
    count = _replace(work, root)
    drop_unused_initializers(draft)
    dedup_weights(draft)  # the same arithmetic in both branches of an If gives the same values twice
    return count


def _try(work: _Folding, scope: Scope, node: NodeProto) -> None:
    """Compute the outputs of a node whose inputs are all known, if they are worth keeping."""
    if (
        node.domain not in STANDARD
        or (node.op_type not in EXACT and node.op_type not in EXACT_ON_INTEGERS)
        or any(attribute.ref_attr_name for attribute in node.attribute)
        or any(True for _ in subgraphs(node))
    ):
        return
    if node.op_type in {"Shape", "Size"} and (shape := _fixed_shape(work, scope, node)) is not None:
        _note(work, node, [_of_shape(node, shape)], frozenset())
        return
    arrays: list[np.ndarray | None] = []
    sources: set[str] = set()
    for name in node.input:
        array = _value(work, scope, name) if name else None
        if name and array is None:
            return
        arrays.append(array)
        sources |= work.made_of.get(name, {name} - {""})
    given = [array for array in arrays if array is not None]
    if node.op_type in EXACT_ON_INTEGERS and any(array.dtype.kind not in "biu" for array in given):
        return
    room = max(_SMALL, sum(array.nbytes for array in given)) if work.most is None else work.most
    try:
        if most_elements(node, arrays) > 8 * room or _cast_bytes(node, given) > room:
            return
        results = evaluate(node, arrays, scope.opset)
    except Exception:  # noqa: BLE001  (a node that cannot be computed here is left for the runtime to judge)
        return
    if sum(result.nbytes for result in results) <= room and all(result.dtype.kind in "biuf" for result in results):
        _note(work, node, results, frozenset(sources))


def _cast_bytes(node: NodeProto, given: list[np.ndarray]) -> int:
    """Return what a Cast would give, 0 for other nodes: a whole table need not be cast to find it too large."""
    to = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
    return given[0].size * ELEMENT_BITS.get(to, 0) // 8 if node.op_type == "Cast" else 0


def _value(work: _Folding, scope: Scope, name: str) -> np.ndarray | None:
    if name in work.values:
        return work.values[name]
    tensor = work.constants.tensor(scope, name)
    if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
        return None
    array = work.constants.array(scope, name)
    return array if array.dtype.kind in "biuf" and array.dtype.isbuiltin == 1 else None


def _note(work: _Folding, node: NodeProto, results: list[np.ndarray], sources: frozenset[str]) -> None:
    names = [name for name in node.output if name]
    for name, result in zip(names, results, strict=True):
        work.values[name] = np.asarray(result)
        work.made_of[name] = sources
        work.folded[name] = node


def _fixed_shape(work: _Folding, scope: Scope, node: NodeProto) -> list[int] | None:
    """Return the shape of the node's input where it is the same in every run."""
    if node.input[0] in work.values:
        return list(work.values[node.input[0]].shape)
    shape = work.types.shape(scope, node.input[0])
    if shape is None:
        return None
    fixed = [size for size in shape if size is not None]
    return fixed if len(fixed) == len(shape) else None


def _of_shape(node: NodeProto, shape: list[int]) -> np.ndarray:
    if node.op_type == "Size":
        return np.array(int(np.prod(shape, dtype=np.int64)), np.int64)
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    return np.array(shape, np.int64)[bounds.get("start", 0) : bounds.get("end", len(shape))]


def _keep_what_pays(work: _Folding, root: Scope) -> None:
    """Give up large values that are made of a weight which something else still reads: then it is a second copy."""
    while True:
        read = _read_outside(work, root)
        alive = {name for name in read if name not in work.folded}
        costly = [
            name
            for name in work.folded
            if name in read and work.values[name].nbytes > max(_SMALL, _freed(work, work.made_of[name] - alive))
        ]
        if not costly:
            return
        for name in costly:
            node = work.folded.get(name)
            for other in node.output if node is not None else ():
                work.folded.pop(other, None)


def _freed(work: _Folding, sources: frozenset[str]) -> int:
    """Return the bytes of these weights of the main graph and the graphs inside it."""
    tensors = (work.constants.of_root(0, name) for name in sources)
    return sum(work.draft.nbytes(tensor) for tensor in tensors if tensor is not None)


def _read_outside(work: _Folding, root: Scope) -> set[str]:
    """Return the names that nodes which stay read, or that are outputs."""
    read = set(pinned_names(root.body))
    for scope in scopes_in(root):
        for node in scope.body.node:
            if not any(name in work.folded for name in node.output):
                read.update(node.input)
    return read


def _replace(work: _Folding, root: Scope) -> int:
    """Put initialisers in the place of the nodes whose values something reads; drop the others."""
    read = _read_outside(work, root)
    count = 0
    for scope in scopes_in(root):
        graph = scope.body
        if not isinstance(graph, GraphProto):
            continue
        gone = [place for place, node in enumerate(graph.node) if any(name in work.folded for name in node.output)]
        made: list[TensorProto] = []
        for place in gone:
            for name in graph.node[place].output:
                if name and name in read:
                    tensor = numpy_helper.from_array(np.ascontiguousarray(work.values[name]), name)
                    tensor.dims[:] = work.values[name].shape
                    made.append(tensor)
        work.draft.set_aside(made)
        graph.initializer.extend(made)
        delete_at(graph.node, gone)
        count += len(gone)
    return count
