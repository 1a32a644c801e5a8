"""Types and shapes that follow from the model's inputs and weights alone.

Declared shapes of intermediate values and outputs are not believed: exporters get them wrong. Shapes of inputs are,
because ONNX Runtime refuses an input that contradicts them.
"""

import onnx
from onnx import GraphProto, TypeProto, ValueInfoProto

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, scopes

__all__ = ["Types", "static_shape"]


class Types:
    """Types by root and name: inferred in the main graph, declared by inputs and initialisers elsewhere."""

    def __init__(self, draft: Draft) -> None:
        self._known: dict[tuple[int, str], TypeProto] = {}
        for scope in scopes(draft.proto):
            if isinstance(scope.body, GraphProto):
                for tensor in scope.body.initializer:
                    self._known[scope.root, tensor.name] = onnx.helper.make_tensor_type_proto(
                        tensor.data_type, list(tensor.dims)
                    )
        for value in inferred(draft):
            self._known[0, value.name] = value.type

    def of(self, scope: Scope, name: str) -> TypeProto | None:
        """Return what is known of the value ``name`` as seen from ``scope``."""
        return self._known.get((scope.root, name))

    def element(self, scope: Scope, name: str) -> int:
        """Return the element type of a tensor, 0 when unknown or not a tensor."""
        known = self.of(scope, name)
        return known.tensor_type.elem_type if known is not None and known.HasField("tensor_type") else 0

    def shape(self, scope: Scope, name: str) -> list[int | None] | None:
        """Return a tensor's dimensions, None for each that is not a fixed number; None when the rank is unknown."""
        known = self.of(scope, name)
        return None if known is None else static_shape(known)


def static_shape(kind: TypeProto) -> list[int | None] | None:
    """Return the dimensions in a tensor's type; None for one that is symbolic, and in place of all without a rank."""
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    # A negative dimension is how some exporters say "any".
    return [
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        for dim in kind.tensor_type.shape.dim
    ]


def inferred(draft: Draft) -> list[ValueInfoProto]:
    """Return the types of the main graph's inputs and of its nodes' outputs, as far as onnx's inference gets."""
    bare = draft.snapshot()
    for scope in scopes(bare):
        if isinstance(scope.body, GraphProto):
            del scope.body.value_info[:]
            for value in (*scope.body.output, *(scope.body.input if scope.depth else ())):
                if value.type.HasField("tensor_type"):
                    value.type.tensor_type.ClearField("shape")
    for value in bare.graph.input:
        for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
            if dim.HasField("dim_value") and dim.dim_value < 0:
                dim.ClearField("dim_value")
    try:
        known = onnx.shape_inference.infer_shapes(bare, check_type=False, strict_mode=False, data_prop=False)
    except Exception:  # noqa: BLE001  (inference is a help, not a need; it raises many kinds on odd models)
        return list(bare.graph.input)
    return [*known.graph.input, *known.graph.value_info, *known.graph.output]
