"""Whose bytes they are: tensors by layer or by operator, and the files around the model, as a treemap shows them."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from coldpress.report.document import Document, File, Tensor

__all__ = ["Group", "Leaf", "groups_of"]

_GROUPS = 14  # more cannot be told apart
_LEAVES = 240  # rectangles of one map; the rest of each group is drawn as one
_VISIBLE = 0.0002  # of the map: smaller rectangles are thinner than a pixel
_FILE_KINDS = {
    "engine": "ONNX Runtime",
    "runtime": "coldpress runtime",
    "bytecode": "bytecode",
    "hooks": "your hooks",
    "packages": "packages of your hooks",
    "licences": "licences",
    "inventory": "bill of materials",
}
_STORED = {
    "float32": "float32",
    "float": "float32",
    "float64": "float64",
    "double": "float64",
    "float16": "float16",
    "bfloat16": "float16",
    "int8": "int8",
    "uint8": "int8",
    "int4": "int4",
    "uint4": "int4",
}


@dataclass(frozen=True)
class Leaf:
    """A rectangle: a tensor, a file, or the rest of a group; ``kind`` decides its colour."""

    name: str
    bytes: int
    kind: str
    detail: str


@dataclass
class Group:
    """Rectangles that belong together; ``weights`` tells the model's from what lies around it."""

    name: str
    weights: bool
    leaves: list[Leaf] = field(default_factory=list)

    @property
    def label(self) -> str:
        """The end of the name, by which the layers of a model differ; the whole of a short one."""
        return self.name if len(self.name) <= 14 or not self.weights else ".".join(self.name.split(".")[-2:])

    @property
    def bytes(self) -> int:
        """Bytes of all leaves."""
        return sum(leaf.bytes for leaf in self.leaves)


def groups_of(document: Document) -> tuple[list[Group], list[Group]]:
    """Return the groups before and after, largest first, the same tensors under the same names in both.

    What the bundle holds beside the model counts on both sides: it is there whichever model is in it.
    """
    sides = [side for side in (document.before, document.after) if side]
    key = _layer if all(map(_has_layers, sides)) else _operator
    kept = _largest(document.before, document.after, key)
    chosen = document.chosen
    around = _files(document.files or ())
    found = []
    for tensors, size in (
        (document.before, document.model_bytes),
        (document.after, chosen.bytes if chosen else document.model_bytes),
    ):
        groups = _tensors(tensors, key, kept)
        if (rest := size - sum(tensor.bytes for tensor in tensors)) > 0 and tensors:
            graph = Leaf("nodes, names and attributes", rest, "graph", "the model file without its weights")
            groups.append(Group("graph", weights=True, leaves=[graph]))
        elif not tensors and size:
            groups.append(Group("model", weights=True, leaves=[Leaf("model", size, "graph", "the model file")]))
        found.append(_capped([*groups, *around]))
    return found[0], found[1]


def _layer(tensor: Tensor) -> str:
    """Return the name up to its first number: ``encoder.layer.3.attention.weight`` is of ``encoder.layer.3``."""
    parts = [part for part in re.split(r"[./]+", tensor.name) if part]
    for number, part in enumerate(parts):
        if part.isdigit():
            return ".".join(parts[: number + 1])
    return parts[0] if len(parts) > 1 else tensor.op or "other weights"


def _operator(tensor: Tensor) -> str:
    return tensor.op or "other weights"


def _has_layers(tensors: Sequence[Tensor]) -> bool:
    """Whether most bytes have names with parts, and those more than one layer between them."""
    deep = [tensor for tensor in tensors if len(re.split(r"[./]+", tensor.name.strip("./"))) > 1]
    named, every = sum(t.bytes for t in deep), sum(t.bytes for t in tensors)
    return named > 0.6 * every and len({_layer(tensor) for tensor in deep}) > 1


def _largest(before: Iterable[Tensor], after: Iterable[Tensor], key: Callable[[Tensor], str]) -> set[str]:
    sizes: defaultdict[str, int] = defaultdict(int)
    for tensor in (*before, *after):
        sizes[key(tensor)] += tensor.bytes
    ordered = sorted(sizes, key=lambda name: (-sizes[name], name))
    return set(ordered if len(ordered) <= _GROUPS else ordered[: _GROUPS - 1])


def _tensors(tensors: Iterable[Tensor], key: Callable[[Tensor], str], kept: set[str]) -> list[Group]:
    groups: dict[str, Group] = {}
    for tensor in tensors:
        name = key(tensor) if key(tensor) in kept else "other weights"
        group = groups.setdefault(name, Group(name, weights=True))
        detail = ", ".join(part for part in (tensor.dtype, tensor.op) if part)
        group.leaves.append(Leaf(tensor.name, tensor.bytes, _STORED.get(tensor.dtype.lower(), "integers"), detail))
    return list(groups.values())


def _files(files: Iterable[File]) -> list[Group]:
    groups: dict[str, Group] = {}
    for file in files:
        if file.kind == "model":
            continue
        group = groups.setdefault(file.kind, Group(_FILE_KINDS.get(file.kind, file.kind), weights=False))
        kind = {"engine": "engine", "hooks": "yours", "packages": "yours"}.get(file.kind, "around")
        group.leaves.append(Leaf(file.path, file.bytes, kind, group.name))
    return list(groups.values())


def _capped(groups: Iterable[Group]) -> list[Group]:
    """Return the groups with their smallest leaves drawn as one, largest first."""
    full = [group for group in groups if group.bytes]
    total = sum(group.bytes for group in full)
    sizes = sorted((leaf.bytes for group in full for leaf in group.leaves), reverse=True)
    least = max(_VISIBLE * total, sizes[_LEAVES] + 1 if len(sizes) > _LEAVES else 0)
    capped = []
    for group in full:
        leaves = sorted(group.leaves, key=lambda leaf: (-leaf.bytes, leaf.name))
        shown = [leaf for leaf in leaves if leaf.bytes >= least]
        rest = leaves[len(shown) :]
        if len(rest) == 1:
            shown += rest
        elif rest:
            kind = rest[0].kind  # of the largest
            what = "tensors" if group.weights else "files"
            shown.append(Leaf(f"{len(rest):,} other {what}", sum(leaf.bytes for leaf in rest), kind, group.name))
        shown = [leaf for leaf in shown if leaf.bytes]
        capped.append(Group(group.name, group.weights, sorted(shown, key=lambda leaf: (-leaf.bytes, leaf.name))))
    return sorted(capped, key=lambda group: (-group.bytes, group.name))
