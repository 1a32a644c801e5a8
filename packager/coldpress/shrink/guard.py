"""What every pass must leave true, checked after each one that changed something."""

from typing import NamedTuple

import onnx
from onnx import GraphProto, ModelProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import (
    Body,
    bodies,
    captured_names,
    constants_of,
    input_names,
    is_standard,
    output_names,
    roots,
    subgraphs,
)

__all__ = ["Guard", "lost_casts", "signature", "untouchable"]

Signature = tuple[tuple[bytes, ...], tuple[bytes, ...]]


def signature(model: ModelProto) -> Signature:
    """Return the declarations a caller depends on: required inputs and outputs, with names, types and shapes."""
    constants = set(constants_of(model.graph))
    required = tuple(_declared(value) for value in model.graph.input if value.name not in constants)
    return required, tuple(_declared(value) for value in model.graph.output)


def untouchable(model: ModelProto) -> str:
    """Say why nothing in ``model`` may be renamed, moved or encoded, as a clause; empty for most models."""
    if model.training_info:
        return "the model carries training information, which names values of its graph"
    return ""


class Guard(NamedTuple):
    """The facts about a model that its revisions are held to."""

    signature: Signature
    metadata: tuple[tuple[str, str], ...]
    passed_checker: bool
    sound: bool
    lost_casts: int

    @classmethod
    def of(cls, draft: Draft) -> "Guard":
        """Take the facts from an untouched draft."""
        model = draft.proto
        return cls(
            signature=signature(model),
            metadata=_metadata(model),
            passed_checker=not _checker_complaint(draft),
            sound=not _unsound(model),
            lost_casts=lost_casts(model),
        )

    def complaint(self, draft: Draft) -> str:
        """Return what a revision broke, or an empty string."""
        model = draft.proto
        if signature(model) != self.signature:
            return "it changed the model's inputs or outputs"
        if _metadata(model) != self.metadata:
            return "it changed the model's metadata"
        if self.sound and (problem := _unsound(model)):
            return problem
        if lost_casts(model) > self.lost_casts:
            return "ONNX Runtime would lose a Cast that a branch reads"
        if self.passed_checker and (problem := _checker_complaint(draft)):
            return f"onnx's checker then says: {problem}"
        return ""


def lost_casts(model: ModelProto) -> int:
    """Count the Casts of a Cast of an input or weight whose result is read inside a branch or loop.

    onnxruntime 1.31.1 takes such a pair out, at every optimisation level, forgets that the inner graph reads it, and
    fails with "Missing Input" at run time. A model may have one by itself; a pass must not make one by removing what
    stands before, between or after the two.
    """
    count = 0
    for root in roots(model):
        captured = captured_names(root.body)
        for body in bodies(root.body):
            made = {name for node in body.node for name in node.output}
            casts = {node.output[0]: node.input[0] for node in body.node if is_standard(node, "Cast")}
            for result in captured & casts.keys():
                source, length = casts[result], 1
                while source in casts:
                    source, length = casts[source], length + 1
                count += length > 1 and source not in made
    return count


def _declared(value: onnx.ValueInfoProto) -> bytes:
    bare = onnx.ValueInfoProto(name=value.name)
    bare.type.CopyFrom(value.type)
    return bare.SerializeToString(deterministic=True)


def _metadata(model: ModelProto) -> tuple[tuple[str, str], ...]:
    return tuple((entry.key, entry.value) for entry in model.metadata_props)


def _checker_complaint(draft: Draft) -> str:
    try:
        onnx.checker.check_model(draft.hollow())
    except Exception as error:  # noqa: BLE001  (the checker raises several kinds, and each means the same here)
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    return ""


def _unsound(model: ModelProto) -> str:
    """Return the first name that is read before it is defined, or an empty string."""
    for root in roots(model):
        if problem := _first_undefined(root.body, set()):
            return problem
    return ""


def _first_undefined(body: Body, outer: set[str]) -> str:
    known = outer | set(input_names(body)) | set(constants_of(body))
    for node in body.node:
        for name in node.input:
            if name and name not in known:
                return f"node {node.name or node.op_type!r} reads {name!r} before it is defined"
        for graph in subgraphs(node):
            if problem := _first_undefined(graph, known):
                return problem
        known.update(filter(None, node.output))
    for name in output_names(body):
        if name and name not in known:
            kind = "graph" if isinstance(body, GraphProto) else "function"
            return f"a {kind} returns {name!r}, which nothing defines"
    return ""
