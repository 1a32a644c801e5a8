"""Which weights make the scores that a model gives each token: the projection behind its last axis."""

from dataclasses import dataclass, field
from math import inf, prod

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from coldpress.errors import VocabularyError
from coldpress.shrink.scopes import bodies, is_standard, use_counts

__all__ = ["Scoring", "scoring_weights"]

_PER_ELEMENT = ("Mul", "Add", "Sub", "Div")


@dataclass
class Scoring:
    """What makes the scores: ``weights`` to trim, each with its axis of tokens; names ``between`` the two."""

    weights: dict[str, int] = field(default_factory=dict)
    between: set[str] = field(default_factory=set)


def scoring_weights(model: ModelProto, output: str, tokens: int) -> Scoring:
    """Follow ``output`` [..., tokens] back to the MatMul or Gemm that makes its last axis, and to that one's weight.

    Raises:
        VocabularyError: Something on the way looks at all tokens together, as Softmax does, is read by others, too, or
            has no axis of ``tokens``.
    """
    return _Way(model, output, tokens).back()


class _Way:
    def __init__(self, model: ModelProto, output: str, tokens: int) -> None:
        self._output, self._tokens = output, tokens
        self._found = Scoring()
        everything = list(bodies(model.graph))
        self._producers: dict[str, NodeProto] = {
            o: node for body in everything for node in body.node for o in node.output
        }
        self._tensors: dict[str, TensorProto] = {
            tensor.name: tensor for body in everything if isinstance(body, GraphProto) for tensor in body.initializer
        }
        self._uses = use_counts(model.graph)

    def back(self) -> Scoring:
        name = self._output
        while True:
            node = self._producers.get(name)
            if node is None or self._uses[name] != 1:
                raise VocabularyError(
                    f"The scores {self._output!r} come from {name!r}, which is not made for them alone; "
                    "they cannot be trimmed."
                )
            self._found.between.add(name)
            if is_standard(node, "Identity", "Cast"):
                name = node.input[0]
            elif is_standard(node, *_PER_ELEMENT):
                name = self._largest(node, -1)
            elif is_standard(node, "MatMul"):
                self._factor(node.input[1], -1)
                return self._found
            elif is_standard(node, "Gemm"):
                turned = any(a.name == "transB" and a.i for a in node.attribute)
                self._factor(node.input[1], -2 if turned else -1)
                if len(node.input) > 2 and node.input[2]:
                    self._note(node.input[2], -1, shared=True)
                return self._found
            else:
                raise VocabularyError(
                    f"The scores {self._output!r} are made by {node.op_type}, which looks at all tokens together; "
                    "they cannot be trimmed."
                )

    def _factor(self, name: str, axis: int) -> None:
        """Follow the right operand of the product to a weight that was perhaps turned or expanded first."""
        while name not in self._tensors:
            node = self._producers.get(name)
            self._found.between.add(name)
            if node is not None and is_standard(node, "Transpose"):
                order = next((list(a.ints) for a in node.attribute if a.name == "perm"), [1, 0])
                axis = order[axis] - len(order)
                name = node.input[0]
            elif node is not None and is_standard(node, *_PER_ELEMENT):
                name = self._largest(node, axis)
            elif node is not None and is_standard(node, "Cast", "Identity"):
                name = node.input[0]
            else:
                raise VocabularyError(f"The scores {self._output!r} come from no weight; they cannot be trimmed.")
        self._note(name, axis)

    def _largest(self, node: NodeProto, axis: int) -> str:
        """Return the operand to follow, what is computed before what is stored; note the other one."""

        def size(name: str) -> float:
            return prod(map(int, self._tensors[name].dims)) if name in self._tensors else inf

        other, name = sorted(node.input, key=size)
        self._note(other, axis, shared=True)
        return name

    def _note(self, name: str, axis: int, *, shared: bool = False) -> None:
        """Note that a weight is trimmed along ``axis``, counted from the end; one ``shared`` by all tokens is not."""
        tensor = self._tensors.get(name)
        dims = None if tensor is None else list(tensor.dims)
        if shared and dims is not None and (len(dims) < -axis or dims[axis] == 1):
            return
        if dims is None or len(dims) < -axis or dims[axis] != self._tokens:
            raise VocabularyError(
                f"The scores {self._output!r} come from {name!r}, which has no axis of {self._tokens:,} tokens "
                "where one was expected; they cannot be trimmed."
            )
        place = axis + len(dims)
        if self._found.weights.setdefault(name, place) != place:
            raise VocabularyError(f"The scores {self._output!r} use {name!r} along two axes; they cannot be trimmed.")
