"""Which values of a model are known before it runs: initialisers that no caller may override, and Constant nodes."""

import numpy as np
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Scope, input_names, is_standard, scopes

__all__ = ["Constants", "constant_value"]


class Constants:
    """The constants of a draft as it is now, by root and name."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._known: dict[tuple[int, str], TensorProto] = {}
        for scope in scopes(draft.proto):
            body = scope.body
            overridable = set(input_names(body))
            if isinstance(body, GraphProto):
                for tensor in body.initializer:
                    if tensor.name not in overridable:
                        self._known[scope.root, tensor.name] = tensor
            for node in body.node:
                if is_standard(node, "Constant") and (value := constant_value(node)) is not None:
                    self._known[scope.root, node.output[0]] = value

    def tensor(self, scope: Scope, name: str) -> TensorProto | None:
        """Return the constant called ``name`` as seen from ``scope``, or None; its data may be set aside."""
        return self.of_root(scope.root, name)

    def of_root(self, root: int, name: str) -> TensorProto | None:
        """Return the constant called ``name`` under the root of that number."""
        return self._known.get((root, name))

    def array(self, scope: Scope, name: str) -> np.ndarray:
        """Return the values of the constant ``name``; ``KeyError`` where it is none, ``ValueError`` where external."""
        return self._draft.array(self._known[scope.root, name])

    def integers(self, scope: Scope, name: str) -> list[int] | None:
        """Return a small constant of integers as a flat list, None where ``name`` is no such thing."""
        tensor = self.tensor(scope, name)
        if tensor is None or tensor.data_type not in {TensorProto.INT64, TensorProto.INT32}:
            return None
        if tensor.data_location == TensorProto.EXTERNAL or self._draft.is_aside(tensor):
            return None
        return [int(value) for value in self._draft.array(tensor).reshape(-1)]


def constant_value(node: NodeProto) -> TensorProto | None:
    """Return the tensor that a Constant node yields; None for a sparse one and for a function's own attribute."""
    if len(node.attribute) != 1:
        return None
    attribute = node.attribute[0]
    if attribute.ref_attr_name:
        return None
    name, kind = attribute.name, attribute.type
    if name == "value" and kind == AttributeProto.TENSOR:
        return attribute.t
    if name == "value_int":
        return helper.make_tensor("", TensorProto.INT64, [], [attribute.i])
    if name == "value_ints":
        return helper.make_tensor("", TensorProto.INT64, [len(attribute.ints)], list(attribute.ints))
    if name == "value_float":
        return helper.make_tensor("", TensorProto.FLOAT, [], [attribute.f])
    if name == "value_floats":
        return helper.make_tensor("", TensorProto.FLOAT, [len(attribute.floats)], list(attribute.floats))
    if name == "value_string":
        return TensorProto(data_type=TensorProto.STRING, string_data=[attribute.s])
    if name == "value_strings":
        return TensorProto(data_type=TensorProto.STRING, dims=[len(attribute.strings)], string_data=attribute.strings)
    return None
