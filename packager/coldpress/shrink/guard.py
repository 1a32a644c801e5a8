"""What every pass must leave true, checked after each one that changed something."""

from typing import NamedTuple

import onnx
from onnx import GraphProto, ModelProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Body, constants_of, input_names, output_names, roots, subgraphs

__all__ = ["Guard", "signature"]

Signature = tuple[tuple[bytes, ...], tuple[bytes, ...]]


def signature(model: ModelProto) -> Signature:
    """Return the declarations a caller depends on: required inputs and outputs, with names, types and shapes."""
    constants = set(constants_of(model.graph))
    required = tuple(_declared(value) for value in model.graph.input if value.name not in constants)
    return required, tuple(_declared(value) for value in model.graph.output)


class Guard(NamedTuple):
    """The facts about a model that its revisions are held to."""

    signature: Signature
    metadata: tuple[tuple[str, str], ...]
    passed_checker: bool
    sound: bool

    @classmethod
    def of(cls, draft: Draft) -> "Guard":
        """Take the facts from an untouched draft."""
        model = draft.proto
        return cls(
            signature=signature(model),
            metadata=_metadata(model),
            passed_checker=not _checker_complaint(draft),
            sound=not _unsound(model),
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
        if self.passed_checker and (problem := _checker_complaint(draft)):
            return f"onnx's checker then says: {problem}"
        return ""


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
