"""What is inside a model: its files and signature, where its bytes are, what it costs, what shrinking could gain.

Told from the file: nothing here runs the model.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.errors import ModelError
from coldpress.model.files import model_files, read_graph, read_model
from coldpress.model.tensors import type_name
from coldpress.model.weights import Weight, iter_weights

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

    from coldpress.inspecting.costs import OpCost
    from coldpress.inspecting.gains import Gains
    from coldpress.inspecting.memory import LoadMemory

__all__ = ["Compute", "Inspection", "Port", "StripEstimate", "inspect_model"]

_MOST_SIZES = 5
"""Sizes of inputs to look at, until the shapes inside are known: some models take no image of the usual size."""


@dataclass(frozen=True)
class Port:
    """One input or output as the file declares it; ``shape`` is None for what is no tensor or has no rank."""

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {"name": self.name, "type": self.type, "shape": None if self.shape is None else list(self.shape)}


@dataclass(frozen=True)
class StripEstimate:
    """What ``strip`` makes of the model: the bytes of the whole afterwards, and each pass that found something."""

    bytes: int
    saved: int
    steps: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {"bytes": self.bytes, "saved": self.saved, "steps": list(self.steps)}


@dataclass(frozen=True)
class Compute:
    """What one run costs, by operator type, with inputs of the sizes ``assumed``, by symbol or ``input[axis]``."""

    assumed: Mapping[str, int]
    ops: "tuple[OpCost, ...]"

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of all that could be told."""
        return sum(op.macs for op in self.ops)

    @property
    def unknown(self) -> int:
        """Nodes whose operations could not be told."""
        return sum(op.unknown for op in self.ops)

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "assumed": dict(self.assumed),
            "macs": self.macs,
            "unknown": self.unknown,
            "by_op": [op.to_json() for op in self.ops],
        }


@dataclass(frozen=True)
class Inspection:
    """Everything ``coldpress inspect`` says. Sizes are bytes."""

    name: str
    files: tuple[tuple[str, int], ...]
    """The model and its external data, each with its size on disk."""
    ir_version: int
    opsets: dict[str, int]
    producer: str
    metadata: tuple[str, ...]
    """The keys of the model's metadata; values may be long, or private."""
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: dict[str, int]
    """Nodes by operator, most frequent first, inner graphs and functions included; ``domain.Op`` off the standard."""
    subgraphs: int
    functions: int
    parameters: int
    """Numbers stored as weights, long attributes included."""
    weights: tuple[Weight, ...]
    """Every weight, largest first."""
    duplicate_bytes: int
    """Bytes of tensors beyond the first of each set equal in type, shape and content."""
    stripped: StripEstimate | None
    """What all lossless passes make of it; None when the model is too large to hold, or was not asked for."""
    compute: Compute
    memory: "LoadMemory"
    gains: "Gains | None"
    """What shrinking could gain beyond that; None where ``stripped`` is."""

    @property
    def total_bytes(self) -> int:
        """The size of all files."""
        return sum(size for _, size in self.files)

    @property
    def weight_bytes(self) -> int:
        """The size of all weights."""
        return sum(weight.bytes for weight in self.weights)

    @property
    def graph_bytes(self) -> int:
        """The size of everything that is no weight: nodes, names, types, notes."""
        return max(0, self.total_bytes - self.weight_bytes)

    def by(self, field: str) -> dict[str, int]:
        """Return the bytes of weights by ``place``, ``dtype`` or ``used_by``, largest first."""
        sums: Counter[str] = Counter()
        for weight in self.weights:
            sums[getattr(weight, field) or "(nothing)"] += weight.bytes
        return dict(sums.most_common())

    def to_json(self, largest: int = 20) -> dict[str, Any]:
        """Return the whole as a JSON object, with the ``largest`` weights one by one."""
        return {
            "name": self.name,
            "bytes": self.total_bytes,
            "files": [{"path": path, "bytes": size} for path, size in self.files],
            "ir_version": self.ir_version,
            "opsets": self.opsets,
            "producer": self.producer,
            "metadata": list(self.metadata),
            "inputs": [port.to_json() for port in self.inputs],
            "outputs": [port.to_json() for port in self.outputs],
            "nodes": {"total": sum(self.nodes.values()), "by_op": self.nodes},
            "subgraphs": self.subgraphs,
            "functions": self.functions,
            "parameters": self.parameters,
            "weights": {
                "bytes": self.weight_bytes,
                "by_place": self.by("place"),
                "external_bytes": sum(weight.bytes for weight in self.weights if weight.external),
                "by_dtype": self.by("dtype"),
                "by_op": self.by("used_by"),
                "largest": [weight.to_json() for weight in self.weights[:largest]],
            },
            "graph_bytes": self.graph_bytes,
            "duplicate_bytes": self.duplicate_bytes,
            "stripped": None if self.stripped is None else self.stripped.to_json(),
            "compute": self.compute.to_json(),
            "memory": self.memory.to_json(),
            "gains": None if self.gains is None else self.gains.to_json(),
        }


def inspect_model(
    path: str | os.PathLike[str], *, estimate: bool = True, sizes: Mapping[str, int] | None = None
) -> Inspection:
    """Look into the model at ``path``.

    Args:
        path: An ``.onnx`` file.
        estimate: Also strip a copy of it in memory, to say what that and encoding its weights would save.
        sizes: What to count operations with, by the symbol of an open dimension or ``input[axis]``; else usual ones.

    Raises:
        ModelError: The file is no sound model, or ``sizes`` names a dimension that it does not have.
    """
    from coldpress.inspecting.memory import load_memory  # noqa: PLC0415  (onnx and numpy are heavy)

    path = Path(path)
    model = read_model(path)
    on_disk = read_graph(path)  # the same order of weights, still saying which are external
    found = list(iter_weights(on_disk))
    weights = sorted((weight for weight, _ in found), key=lambda weight: (-weight.bytes, weight.name))
    files = tuple((file.name, file.stat().st_size) for file in model_files(path))
    nodes, graphs = _count_nodes(model)
    stripped, gains = _estimate(model, weights, sum(size for _, size in files)) if estimate else (None, None)
    return Inspection(
        name=path.name,
        files=files,
        ir_version=model.ir_version,
        opsets={entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        metadata=tuple(entry.key for entry in model.metadata_props),
        inputs=tuple(map(_port, _required(model.graph))),
        outputs=tuple(map(_port, model.graph.output)),
        nodes=dict(nodes.most_common()),
        subgraphs=graphs,
        functions=len(model.functions),
        parameters=sum(weight.elements for weight in weights if weight.dtype != "string"),
        weights=tuple(weights),
        duplicate_bytes=_duplicates(model),
        stripped=stripped,
        compute=_compute(model, path, sizes or {}),
        memory=load_memory(model),
        gains=gains,
    )


def _compute(model: "ModelProto", path: Path, sizes: Mapping[str, int]) -> Compute:
    """Count with the first usual sizes that leave nothing unknown, else with those that leave least."""
    from coldpress.inspecting.costs import op_costs  # noqa: PLC0415  (onnx and numpy are heavy)
    from coldpress.inspecting.sizing import size_up  # noqa: PLC0415

    best: Compute | None = None
    for sized in size_up(model, path, sizes, most=_MOST_SIZES):
        if odd := sorted(set(sizes) - set(sized.assumed)):
            known = ", ".join(sized.assumed) or "none"
            raise ModelError(f"{path.name} has no open dimension {odd[0]!r}; those it has are: {known}.")
        found = Compute(sized.assumed, op_costs(sized))
        if best is None or found.unknown < best.unknown:
            best = found
        if not found.unknown:
            break
    return best if best is not None else Compute({}, ())


def _required(graph: "GraphProto") -> "list[ValueInfoProto]":
    constants = {tensor.name for tensor in graph.initializer} | {s.values.name for s in graph.sparse_initializer}
    return [value for value in graph.input if value.name not in constants]


def _port(value: "ValueInfoProto") -> Port:
    return Port(value.name, _type(value.type), _shape(value.type))


def _type(kind: "TypeProto") -> str:
    match kind.WhichOneof("value"):
        case "tensor_type":
            return type_name(kind.tensor_type.elem_type)
        case "sparse_tensor_type":
            return f"sparse {type_name(kind.sparse_tensor_type.elem_type)}"
        case "sequence_type":
            return f"sequence of {_type(kind.sequence_type.elem_type)}"
        case "map_type":
            return f"map of {type_name(kind.map_type.key_type)} to {_type(kind.map_type.value_type)}"
        case "optional_type":
            return f"optional {_type(kind.optional_type.elem_type)}"
        case other:
            return other or "undeclared"


def _shape(kind: "TypeProto") -> tuple[int | str | None, ...] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or None
        for dim in kind.tensor_type.shape.dim
    )


def _count_nodes(model: "ModelProto") -> tuple[Counter[str], int]:
    counts: Counter[str] = Counter()
    graphs = 0
    for node, inner in (*_walk(model.graph), *(found for function in model.functions for found in _walk(function))):
        counts[node.op_type if node.domain in {"", "ai.onnx"} else f"{node.domain}.{node.op_type}"] += 1
        graphs += inner
    return counts, graphs


def _walk(body: "GraphProto | FunctionProto") -> "Iterator[tuple[NodeProto, int]]":
    """Yield every node of a body with the number of graphs in its attributes."""
    for node in body.node:
        graphs = [g for a in node.attribute for g in (*([a.g] if a.HasField("g") else []), *a.graphs)]
        yield node, len(graphs)
        for graph in graphs:
            yield from _walk(graph)


def _duplicates(model: "ModelProto") -> int:
    seen: set[bytes] = set()
    twice = 0
    for weight, tensor in iter_weights(model):
        if tensor is None or tensor.data_location == tensor.EXTERNAL:
            continue
        key = _content(tensor)
        twice += weight.bytes if key in seen else 0
        seen.add(key)
    return twice


def _content(tensor: "TensorProto") -> bytes:
    name, tensor.name = tensor.name, ""
    try:
        return hashlib.sha256(tensor.SerializeToString(deterministic=True)).digest()
    finally:
        tensor.name = name


def _estimate(
    model: "ModelProto", weights: list[Weight], now: int
) -> "tuple[StripEstimate, Gains] | tuple[None, None]":
    from coldpress.inspecting.gains import possible_gains  # noqa: PLC0415  (onnx and numpy are heavy)
    from coldpress.shrink.strip import FINISHING, strip  # noqa: PLC0415

    if any(weight.external for weight, _ in iter_weights(model)):
        return None, None  # too large to be one message, so the size afterwards is not known without writing it
    stripped = strip(model)
    finished = strip(stripped.model, FINISHING)
    size = finished.model.ByteSize()
    steps = tuple(step.to_json() for step in chain(stripped.steps, finished.steps))
    # Encodings and exact narrow storage are for the same weights: what names save is all that adds to an encoding.
    names = sum(step.bytes_saved for step in finished.steps if step.name == "short names")
    gains = possible_gains(stripped.model, weights, now, stripped.model.ByteSize() - names)
    return StripEstimate(size, max(0, now - size), steps), gains
