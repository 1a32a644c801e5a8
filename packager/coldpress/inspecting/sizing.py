"""Sizes for the dimensions that a model leaves open, and the shapes of everything inside that follow from them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper

from coldpress.model.tensors import type_name
from coldpress.samples.dimensions import plans, size_of
from coldpress.shrink.draft import Draft
from coldpress.shrink.fold_constants import fold_constants
from coldpress.shrink.hoist_constants import hoist_constants
from coldpress.shrink.inline_if import inline_constant_ifs
from coldpress.shrink.modernize_inputs import modernize_inputs
from coldpress.shrink.scopes import constants_of, defined_names, scopes, unique_names
from coldpress.shrink.types import Types
from coldpress.signature import DATATYPES, Dim, Port, Signature

__all__ = ["Everywhere", "Sized", "size_up"]

_MOST_ROUNDS = 6
"""Folding gives shapes, which decide branches, which give more to fold."""
_SAME_SHAPE = frozenset({"Binarizer", "Imputer", "Normalizer", "Scaler"})
"""Operators of ai.onnx.ml that give float32 of the shape they take; onnx infers nothing for them."""


@dataclass(frozen=True)
class Sized:
    """A model with numbers for all dimensions of its inputs.

    Attributes:
        draft: The model with those numbers, its shape arithmetic done, its weights set aside.
        types: What follows from them for the values inside.
        assumed: The number taken for each dimension that the model leaves open, by its symbol or ``input[axis]``.
    """

    draft: Draft
    types: Types
    assumed: Mapping[str, int] = field(default_factory=dict)


class Everywhere(Types):
    """Types in inner graphs, too, and past operators that onnx knows nothing about: good enough to count by."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        bare = draft.snapshot()
        for scope in scopes(bare):
            if isinstance(scope.body, GraphProto):
                del scope.body.value_info[:]
        _stand_in(bare)
        _repeat_inside(draft, bare)
        try:
            known = onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=True)
        except Exception:  # noqa: BLE001  (inference raises many kinds on odd models; then less is known)
            return
        for scope in scopes(known):
            if isinstance(scope.body, GraphProto):
                for value in (*scope.body.value_info, *scope.body.output):
                    self._known.setdefault((scope.root, value.name), value.type)
                    if not _has_shape(self._known[scope.root, value.name]):
                        self._known[scope.root, value.name] = value.type


def _has_shape(kind: TypeProto) -> bool:
    return kind.tensor_type.HasField("shape")


def _stand_in(model: ModelProto) -> None:
    """Put standard operators of the same shapes in the place of some that inference stops at."""
    for scope in scopes(model):
        for number, node in enumerate(scope.body.node):
            if node.domain == "ai.onnx.ml" and node.op_type in _SAME_SHAPE:
                _become(node, "Cast", to=TensorProto.FLOAT)
            elif node.domain == "com.microsoft" and node.op_type == "MatMulNBits":
                sizes = {attribute.name: attribute.i for attribute in node.attribute}
                name = f"{node.input[1]}/{number}/stand-in"
                kind = helper.make_tensor_value_info(name, TensorProto.FLOAT, [sizes["K"], sizes["N"]])
                model.graph.input.append(kind)
                node.input[:] = [node.input[0], name]
                _become(node, "MatMul")


def _repeat_inside(draft: Draft, model: ModelProto) -> None:
    """Give inner graphs copies of the small constants that they read from outside: inference looks no further."""
    small: dict[str, TensorProto] = {}
    for scope in scopes(model):
        if scope.root or not isinstance(scope.body, GraphProto):
            continue
        own = set(defined_names(scope.body))
        wanted = {name for node in scope.body.node for name in node.input if name in small and name not in own}
        small |= {tensor.name: tensor for tensor in scope.body.initializer if not draft.is_aside(tensor)}
        scope.body.initializer.extend(small[name] for name in sorted(wanted))


def _become(node: NodeProto, op_type: str, **attributes: int) -> None:
    node.domain, node.op_type = "", op_type
    del node.attribute[:]
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())


def size_up(model: ModelProto, path: Path, sizes: Mapping[str, int] | None = None, *, most: int = 1) -> Iterator[Sized]:
    """Yield the model in sizes that are usual for inputs like these, the likeliest first, at most ``most`` of them.

    First comes a batch of 1 with images of 224 by 224 and sequences of 16: what ``samples`` tries first. ``sizes``
    says what to take instead, by the symbol of a dimension or ``input[axis]``.
    """
    draft = Draft(model)
    unique_names(draft.proto)
    modernize_inputs(draft)
    hoist_constants(draft)
    values = _inputs(draft.proto)
    signature = Signature(tuple(map(_port, values)), ())
    bare = draft.snapshot()
    for plan in islice(plans(signature, path, []), most) if values else [{}]:
        assumed = plan | {name: size for name, size in (sizes or {}).items() if name in plan}
        draft.proto = ModelProto()
        draft.proto.CopyFrom(bare)
        for value, port in zip(_inputs(draft.proto), signature.inputs, strict=True):
            for axis, size in enumerate(port.shape or ()):
                value.type.tensor_type.shape.dim[axis].dim_value = size_of(size, port.name, axis, assumed)
        for _ in range(_MOST_ROUNDS):
            if not fold_constants(draft, Everywhere) + inline_constant_ifs(draft):
                break
        yield Sized(draft, Everywhere(draft), assumed)


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    constants = set(constants_of(model.graph))
    return [value for value in model.graph.input if value.name not in constants]


def _port(value: ValueInfoProto) -> Port:
    kind = value.type.tensor_type
    datatype, numpy = DATATYPES.get(type_name(kind.elem_type), ("", ""))
    shape: tuple[Dim, ...] | None = None
    if kind.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else _symbol(dim.dim_param)
            for dim in kind.shape.dim
        )
    return Port(value.name, "", "tensor", datatype, numpy, shape)


def _symbol(name: str) -> str | None:
    return name if name and name != "?" else None
