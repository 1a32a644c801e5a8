"""A text model whose embedding holds some of its rows only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, numpy_helper

from coldpress.errors import VocabularyError
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import Guard, signature
from coldpress.shrink.hoist_constants import hoist_constants
from coldpress.shrink.scopes import bodies, is_standard, output_names, roots, unique_names
from coldpress.shrink.types import Types
from coldpress.vocabulary.scores import scoring_weights

__all__ = ["with_rows"]

_FORWARDS = ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Slice", "Expand")
"""Operators behind which token ids are still token ids."""
_WIDE = (TensorProto.INT32, TensorProto.INT64)
"""Types that hold any id; a Cast to another one could ask whether an id is 0, or round it."""
_SHAPES = ("Shape", "Size")
_COMPARISONS = ("Equal",)
_ROW_WISE = ("Cast", "Mul", "Add", "Sub", "Div", "DequantizeLinear")
"""Operators that work on each row of a table by itself; their other operands may have a value for each row."""


def with_rows(model: ModelProto, kept: list[int], ids: str, *, scores: bool = False) -> ModelProto:
    """Return a copy of ``model`` whose input ``ids`` means places in ``kept``.

    For ids that are all in ``kept`` the copy, given their places, answers like ``model``, bit for bit: the same rows
    are looked up, and nothing else may look at an id but a comparison with one, which is renumbered.

    Args:
        model: Stays as it is.
        kept: Old ids, ascending.
        ids: The name of the input that takes token ids.
        scores: Also trim outputs that have a score for each token: their last axis then has one for each of ``kept``,
            equal to the old one within rounding, because products of another size may be summed in another order.

    Raises:
        VocabularyError: The model uses ids in another way, has no table to look them up in, or, without ``scores``,
            shares that table with its output or answers with a score for each token of the old vocabulary.
    """
    draft = Draft(model)
    unique_names(draft.proto)
    hoist_constants(draft)
    guard = Guard.of(draft)
    _Trimming(draft, kept, ids, scores=scores).run()
    if scores:
        guard = guard._replace(signature=signature(draft.proto))
    if problem := guard.complaint(draft):
        raise VocabularyError(f"The embedding of this model cannot be trimmed: {problem}.")
    return draft.restore()


@dataclass
class _Trimming:
    draft: Draft
    kept: list[int]
    ids: str
    scores: bool = False
    tables: dict[str, int] = field(default_factory=dict)
    """Weights to trim, each with the axis that tokens lie along."""
    scored_by: set[str] = field(default_factory=set)
    """Outputs of the nodes between such a weight and the scores."""
    rows: int = 0

    def run(self) -> None:
        graph = self.draft.proto.graph
        if self.ids not in {value.name for value in graph.input}:
            names = ", ".join(value.name for value in graph.input)
            raise VocabularyError(f"The model has no input {self.ids!r} for token ids; its inputs are {names}.")
        carried = self._follow()
        if not self.tables:
            raise VocabularyError(f"Nothing looks {self.ids!r} up in a table of the model's own; it cannot be trimmed.")
        self._trim_scores()
        self._refuse_other_readers(carried)
        self._refuse_ids_as_outputs(carried)
        for tensor in self.initializers():
            if tensor.name in self.tables:
                left = np.take(self.draft.array(tensor), self.kept, axis=self.tables[tensor.name])
                tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(left), tensor.name))
                self.draft.set_aside([tensor])

    def _follow(self) -> set[str]:
        """Find what the ids reach: note tables that they are looked up in, renumber what they are compared with."""
        producers = {name: node for node in self.nodes() for name in node.output}
        tensors = {tensor.name: tensor for tensor in self.initializers()}
        carried = {self.ids}
        for node in self.nodes():  # in order, so that what carries ids is known before it is read
            places = [place for place, name in enumerate(node.input) if name in carried]
            if not places or node.op_type in _SHAPES:
                continue
            if is_standard(node, "Gather") and places == [1]:
                self._add_table(node, producers, tensors)
            elif node.domain == "com.microsoft" and node.op_type == "GatherBlockQuantized" and places == [1]:
                for name in (node.input[0], *node.input[2:]):
                    self._add(tensors, name, node)
            elif is_standard(node, *_FORWARDS) and places == [0] and _keeps_values(node):
                carried.update(node.output)
            elif is_standard(node, *_COMPARISONS) and len(places) == 1:
                self._renumber(tensors, node, 1 - places[0])
            else:
                raise VocabularyError(
                    f"The model computes with token ids in {node.op_type} ({node.name or node.output[0]}), "
                    "not only looks them up; new numbers would change its answers, so its vocabulary stays."
                )
        return carried

    def _add_table(
        self, gather: NodeProto, producers: Mapping[str, NodeProto], tensors: Mapping[str, TensorProto]
    ) -> None:
        """Note the constants with a row for each token that make the table of ``gather``."""
        if any(attribute.name == "axis" and attribute.i for attribute in gather.attribute):
            raise VocabularyError("The model looks token ids up along another axis than the first; it is not trimmed.")
        name = gather.input[0]
        others: list[str] = []
        while name not in tensors:
            node = producers.get(name)
            if node is None or not is_standard(node, *_ROW_WISE):
                made_by = "an input" if node is None else node.op_type
                raise VocabularyError(
                    f"The table that token ids are looked up in is made by {made_by}, not by the row; "
                    "strip the model first, or export it with the embedding as a weight."
                )
            if any(a.name == "block_size" and a.i for a in node.attribute):
                raise VocabularyError("The embedding is quantised in blocks that may span rows; it is not trimmed.")
            name, *more = sorted(node.input, key=lambda each: -self._size(each, tensors, producers))
            others += more
        self._add(tensors, name, gather)
        rank = len(tensors[name].dims)
        for other in others:
            dims = list(tensors[other].dims) if other in tensors else []
            by_row = len(dims) == rank or (len(dims) == 1 and self._is_axis_scale(other))
            if by_row and dims[0] == self.rows:
                self._add(tensors, other, gather)

    def _is_axis_scale(self, name: str) -> bool:
        """Whether a vector goes along the rows: a scale of DequantizeLinear does, an operand of Mul along columns."""
        readers = [node for node in self.nodes() if name in node.input]
        along = [a.i for node in readers for a in node.attribute if a.name == "axis"]
        return all(is_standard(node, "DequantizeLinear") for node in readers) and set(along) == {0}

    def _size(self, name: str, tensors: Mapping[str, TensorProto], producers: Mapping[str, NodeProto]) -> float:
        return float(np.prod(tensors[name].dims)) if name in tensors else float("inf" if name in producers else 0)

    def _add(self, tensors: Mapping[str, TensorProto], name: str, reader: NodeProto) -> None:
        if not name:
            return
        tensor = tensors.get(name)
        overridable = name in {value.name for value in self.draft.proto.graph.input}
        if tensor is None or overridable or tensor.data_location == TensorProto.EXTERNAL or not tensor.dims:
            raise VocabularyError(
                f"The table {name!r} that {reader.op_type} looks token ids up in is no weight inside the file; "
                "save the model without external data and without weights among its inputs."
            )
        rows = tensor.dims[0]
        if self.rows and rows != self.rows:
            raise VocabularyError(
                f"Token ids are looked up in tables of {self.rows:,} and of {rows:,} rows; only one can be their "
                "vocabulary, so nothing is trimmed."
            )
        if self.kept and self.kept[-1] >= rows:
            raise VocabularyError(
                f"The tokenizer has the id {self.kept[-1]:,}, for which the embedding {name!r} of {rows:,} rows has "
                "none; are they of the same model?"
            )
        self.rows = rows
        self.tables[name] = 0

    def _renumber(self, tensors: Mapping[str, TensorProto], node: NodeProto, side: int) -> None:
        """Compare with the new number of an id; one that is gone is compared with -1, which no id is."""
        tensor = tensors.get(node.input[side])
        readers = sum(name == node.input[side] for other in self.nodes() for name in other.input)
        if tensor is None or readers != 1 or self.draft.is_aside(tensor):
            raise VocabularyError(
                f"The model compares token ids with something that is no constant of its own ({node.input[side]!r}); "
                "new numbers would change its answers, so its vocabulary stays."
            )
        new = {old: number for number, old in enumerate(self.kept)}
        values = self.draft.array(tensor)
        if values.dtype.kind not in "iu":
            raise VocabularyError(f"The model compares token ids as {values.dtype}; its vocabulary stays.")
        changed = np.array([new.get(int(value), -1) for value in values.reshape(-1)], values.dtype)
        tensor.CopyFrom(numpy_helper.from_array(changed.reshape(values.shape), tensor.name))

    def _refuse_other_readers(self, carried: set[str]) -> None:
        """Refuse a table that something else reads, such as the projection to the output that it is tied to."""
        behind = set(self.tables)
        for node in self.nodes():
            touched = [name for name in node.input if name in behind]
            if not touched:
                continue
            if node.op_type in {"Gather", "GatherBlockQuantized"} and node.input[1] in carried:
                continue
            if self.scored_by.intersection(node.output):
                continue
            if not is_standard(node, *_ROW_WISE):
                raise VocabularyError(
                    f"The embedding {touched[0]!r} is also read by {node.op_type}: it is shared with the output, which "
                    "would lose the tokens that go, so nothing is trimmed."
                )
            behind.update(node.output)
        if shown := behind & {value.name for value in self.draft.proto.graph.output}:
            raise VocabularyError(f"The embedding is itself the output {shown.pop()!r}; it is not trimmed.")

    def _refuse_ids_as_outputs(self, carried: set[str]) -> None:
        for body in bodies(self.draft.proto.graph):
            if shown := carried & set(output_names(body)):
                raise VocabularyError(
                    f"The model hands token ids on as {shown.pop()!r}, where they would have new numbers; "
                    "its vocabulary stays."
                )

    def _trim_scores(self) -> None:
        """Trim, or refuse, outputs with a value for each token of the vocabulary."""
        known = Types(self.draft)
        (main, *_) = roots(self.draft.proto)
        for value in self.draft.proto.graph.output:
            dims = value.type.tensor_type.shape.dim
            if self.rows not in {dim.dim_value for dim in dims} and self.rows not in (
                known.shape(main, value.name) or ()
            ):
                continue
            if not self.scores:
                raise VocabularyError(
                    f"The output {value.name!r} has a value for each of the {self.rows:,} tokens, whose numbers "
                    "callers know; nothing is trimmed unless that output may be trimmed, too."
                )
            found = scoring_weights(self.draft.proto, value.name, self.rows)
            if any(self.tables.get(name, axis) != axis for name, axis in found.weights.items()):
                raise VocabularyError(f"The scores {value.name!r} use the embedding along another axis than ids do.")
            self.tables |= found.weights
            self.scored_by |= found.between
            if dims and dims[-1].HasField("dim_value"):
                dims[-1].dim_value = len(self.kept)

    def nodes(self) -> Iterator[NodeProto]:
        for body in bodies(self.draft.proto.graph):
            yield from body.node

    def initializers(self) -> Iterator[TensorProto]:
        for body in bodies(self.draft.proto.graph):
            if isinstance(body, GraphProto):
                yield from body.initializer


def _keeps_values(node: NodeProto) -> bool:
    return node.op_type != "Cast" or any(a.name == "to" and a.i in _WIDE for a in node.attribute)
