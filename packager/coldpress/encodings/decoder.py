"""Nodes that make a weight from what is stored of it, named and put in its place."""

from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import bodies, defined_names, delete_at, fresh_name

__all__ = ["Decoder"]


class Decoder:
    """Replaces one initialiser of ``draft``.

    ``constant`` and ``node`` collect what is needed and return the names of the values; nothing in the draft changes
    before ``place``. Constants that many weights need (tables, shapes) are added for each, and are one after
    ``dedup_weights``.
    """

    def __init__(self, draft: Draft, name: str) -> None:
        self._draft = draft
        self._name = name
        self._taken: set[str] = set()
        for body in bodies(draft.proto.graph):
            self._taken.update(defined_names(body))
            self._taken.update(name for node in body.node for name in node.input)
        self._constants: list[TensorProto] = []
        self._nodes: list[NodeProto] = []

    def fresh(self) -> str:
        """Return a name that nothing has."""
        return fresh_name(self._taken, f"q{len(self._taken)}")

    def constant(self, values: np.ndarray) -> str:
        """Add an initialiser beside the weight."""
        tensor = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), self.fresh())
        self._constants.append(tensor)
        return tensor.name

    def integers(self, *values: int) -> str:
        """Add an int64 initialiser of one dimension, such as a shape."""
        return self.constant(np.array(values, np.int64))

    def node(self, op_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node of the standard operator set with one output."""
        made = helper.make_node(op_type, inputs, [output or self.fresh()], **attributes)
        self._nodes.append(made)
        return made.output[0]

    def cast(self, name: str, to: int) -> str:
        """Add a Cast to a type of ``TensorProto``."""
        return self.node("Cast", name, to=to)

    def take_nodes(self) -> list[NodeProto]:
        """Return the nodes added so far, which ``place`` will then not put beside the weight."""
        nodes, self._nodes = self._nodes, []
        return nodes

    def give_nodes(self, nodes: list[NodeProto]) -> None:
        """Add nodes that ``take_nodes`` gave, after those there are."""
        self._nodes += nodes

    def place(self) -> None:
        """Put the constants where the initialiser was, and the nodes before all others of its graph."""
        graph, position = self._home()
        delete_at(graph.initializer, [position])
        self._draft.set_aside(self._constants)
        graph.initializer.extend(self._constants)
        for node in reversed(self._nodes):
            graph.node.insert(0, node)

    def _home(self) -> tuple[GraphProto, int]:
        for body in bodies(self._draft.proto.graph):
            if isinstance(body, GraphProto):
                for position, tensor in enumerate(body.initializer):
                    if tensor.name == self._name:
                        return body, position
        raise KeyError(self._name)
