"""Where a model's bytes live: every tensor and every long attribute, with its place and the operator that reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coldpress.model.tensors import declared_bytes, stored_bytes, type_name

if TYPE_CHECKING:
    from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto

__all__ = ["PLACES", "Weight", "iter_weights"]

PLACES = (
    "initialisers",
    "initialisers in subgraphs",
    "Constant nodes",
    "Constant nodes in subgraphs",
    "functions",
    "sparse initialisers",
    "attributes",
)
"""Where weights are kept. Tree ensembles and text tables keep theirs in attributes."""
_LONG = 256
"""Attributes of fewer bytes are settings, not weights."""


@dataclass(frozen=True)
class Weight:
    """One tensor, or one long attribute: ``bytes`` is its data alone, ``used_by`` the type of its first reader."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    place: str
    external: bool
    used_by: str

    @property
    def elements(self) -> int:
        """The number of values."""
        count = 1
        for dim in self.shape:
            count *= dim
        return count

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "bytes": self.bytes,
            "place": self.place,
            "external": self.external,
            "used_by": self.used_by,
        }


def iter_weights(model: "ModelProto") -> "Iterator[tuple[Weight, TensorProto | None]]":
    """Yield each weight with the tensor that holds it, None for a long attribute, in the model's own order."""
    yield from _of_body(model.graph, 0, "", {})
    for function in model.functions:
        yield from _of_body(function, 0, "functions", {})


def _of_body(
    body: "GraphProto | FunctionProto", depth: int, place: str, outer: dict[str, str]
) -> "Iterator[tuple[Weight, TensorProto | None]]":
    readers = dict(outer)
    _note_readers(body, readers)
    if not place:
        where = PLACES[1] if depth else PLACES[0]
        for tensor in getattr(body, "initializer", ()):
            yield _weight(tensor, tensor.name, where, readers), tensor
        for sparse in getattr(body, "sparse_initializer", ()):
            for part in (sparse.values, sparse.indices):
                yield _weight(part, sparse.values.name, PLACES[5], readers), part
    for node in body.node:
        constant = node.op_type == "Constant" and node.domain in {"", "ai.onnx"}
        where = place or ((PLACES[3] if depth else PLACES[2]) if constant else PLACES[6])
        for attribute in node.attribute:
            if attribute.HasField("t"):
                if constant and node.output:
                    yield _weight(attribute.t, node.output[0], where, readers), attribute.t
                else:
                    label = f"{node.name or node.op_type}.{attribute.name}"
                    yield _weight(attribute.t, label, where, readers, node.op_type), attribute.t
            elif (long := _long_attribute(node, attribute, where)) is not None:
                yield long, None
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _of_body(graph, depth + 1, place, readers)


def _note_readers(body: "GraphProto | FunctionProto", readers: dict[str, str]) -> None:
    """Fill in the first operator that reads each name, in the graphs inside ``body`` too."""
    for node in body.node:
        for name in node.input:
            readers.setdefault(name, node.op_type)
        for attribute in node.attribute:
            for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                _note_readers(graph, readers)


def _weight(tensor: "TensorProto", name: str, place: str, readers: dict[str, str], used_by: str = "") -> Weight:
    size = declared_bytes(tensor, f"tensor {name!r}")
    return Weight(
        name=name,
        dtype=type_name(tensor.data_type),
        shape=tuple(tensor.dims),
        bytes=stored_bytes(tensor) if size is None else size,
        place=place,
        external=tensor.data_location == tensor.EXTERNAL,
        used_by=used_by or readers.get(name, ""),
    )


def _long_attribute(node: "NodeProto", attribute: "AttributeProto", place: str) -> Weight | None:
    """Return a list or string attribute as a weight when long; its integers are varints, so it is measured."""
    for kind, values in (
        ("float", attribute.floats),
        ("int64", attribute.ints),
        ("string", attribute.strings or ([attribute.s] if attribute.s else [])),
    ):
        if values and (size := attribute.ByteSize()) >= _LONG:
            name = f"{node.name or node.op_type}.{attribute.name}"
            return Weight(name, kind, (len(values),), size, place, external=False, used_by=node.op_type)
    return None
