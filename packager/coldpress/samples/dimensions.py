"""Sizes to try for the dimensions that a model leaves open."""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from coldpress.signature import Dim, Port, Signature

__all__ = ["plans", "roles", "size_of"]

_IMAGES = (
    (224, 224),
    (320, 320),
    (640, 640),
    (48, 320),
    (256, 256),
    (128, 128),
    (64, 64),
    (32, 32),
    (512, 512),
    (28, 28),
)
_LENGTHS = (16, 8, 128, 512, 64, 32, 256, 1, 2, 3, 4, 5, 10, 24, 100, 1024, 16000)
_COUNTS = (1, 2, 4, 8)


def plans(signature: Signature, model: Path, numbers: list[int]) -> Iterator[dict[str, int]]:
    """Yield sizes for the unknown dimensions, the likeliest first.

    First one size for all dimensions of a role; then sizes found beside the inputs in the model's own weights and in
    ONNX Runtime's refusals; then these in combination.
    """
    role_of = roles(signature)
    seen = set()

    def fresh(plan: dict[str, int]) -> bool:
        key = tuple(plan.items())
        new = key not in seen
        seen.add(key)
        return new

    def uniform(images: tuple[int, int], length: int, count: int) -> dict[str, int]:
        sizes = {"batch": count, "rows": images[0], "columns": images[1], "length": length}
        return {key: sizes[role] for key, role in role_of.items()}

    spatial = {"rows", "columns"} & set(role_of.values())
    lengths = "length" in role_of.values()
    for count in _COUNTS[:2]:
        for images in _IMAGES if spatial else _IMAGES[:1]:
            for length in _LENGTHS if lengths else _LENGTHS[:1]:
                if fresh(plan := uniform(images, length, count)):
                    yield plan
    hints = list(dict.fromkeys([*_beside_inputs(model), *numbers]))[:12]
    free = [key for key, role in role_of.items() if role != "batch"]
    for sizes in itertools.product([*hints, 16, 2, 1], repeat=len(free)) if len(free) <= 4 else ():
        plan = dict.fromkeys(role_of, 1) | dict(zip(free, sizes, strict=True))
        if fresh(plan):
            yield plan
    for count, hint in itertools.product(_COUNTS, [*hints, *_LENGTHS]):
        if fresh(plan := {key: count if role == "batch" else hint for key, role in role_of.items()}):
            yield plan


def roles(signature: Signature) -> dict[str, str]:
    """Name every unknown dimension and say what it is likely to be: ``batch``, ``rows``, ``columns`` or ``length``."""
    found: dict[str, str] = {}
    for port in signature.inputs:
        for axis, dim in enumerate(port.shape or ()):
            for key in _unknowns(dim, port.name, axis):
                found.setdefault(key, _role(port, axis, dim))
    return found


def _role(port: Port, axis: int, dim: Dim) -> str:
    shape = port.shape or ()
    name = str(dim).lower()
    if axis == 0 or "batch" in name or "past" in name:
        return "batch"
    if len(shape) == 4 and port.datatype in ("FP32", "FP16", "BF16", "FP64", "UINT8"):
        first = 1 if shape[3] in (1, 3, 4) else 2
        if axis in (first, first + 1):
            return "rows" if axis == first else "columns"
    return "length"


def _unknowns(dim: Dim, name: str, axis: int) -> tuple[str, ...]:
    """Name the free sizes in a dimension: itself, or the symbols of an expression such as ``past + sequence``."""
    if isinstance(dim, int):
        return ()
    if dim is None:
        return (f"{name}[{axis}]",)
    tree = _expression(dim)
    if tree is None:
        return (dim,)
    return tuple(dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)))


def _expression(dim: str) -> ast.expr | None:
    """Parse a dimension that is arithmetic on symbols; None for a plain symbol or anything else."""
    if not re.search(r"[-+*/]", dim) or not re.fullmatch(r"[\w\s+*/()-]{1,300}", dim):
        return None
    try:
        tree = ast.parse(dim.strip(), mode="eval").body
        _evaluate(tree, {n.id: 1 for n in ast.walk(tree) if isinstance(n, ast.Name)})
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None
    return tree


def _evaluate(node: ast.expr, sizes: Mapping[str, int]) -> float:
    match node:
        case ast.Name(id=name):
            return sizes[name]
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _evaluate(left, sizes), _evaluate(right, sizes)
            match op:
                case ast.Add():
                    return a + b
                case ast.Sub():
                    return a - b
                case ast.Mult():
                    return a * b
                case ast.Div() | ast.FloorDiv():
                    return a // b
    raise ValueError("not arithmetic")


def size_of(dim: Dim, name: str, axis: int, plan: Mapping[str, int]) -> int:
    """Return the size that ``plan`` gives to one dimension, ``dim``, of the input called ``name``."""
    if isinstance(dim, int):
        return dim
    if dim is None:
        return plan[f"{name}[{axis}]"]
    tree = _expression(dim)
    return plan[dim] if tree is None else int(_evaluate(tree, plan))


def _beside_inputs(model: Path) -> list[int]:
    """Return the sizes of the weights that meet an input in its first operator: one of them often is what it wants."""
    import onnx

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception:  # noqa: BLE001  (an ORT-format file: the hints are only hints)
        return []
    weights = {w.name: list(w.dims) for w in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            weights[node.output[0]] = list(node.attribute[0].t.dims)
    names = {i.name for i in graph.input} - set(weights)
    sizes = [
        size
        for node in graph.node
        if names & set(node.input)
        for name in node.input
        for size in weights.get(name, ())
        if 1 < size <= 65536
    ]
    return list(dict.fromkeys(sizes))
