"""The writing of one model: QuantizeLinear and DequantizeLinear around chosen nodes, weights and biases as codes."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.encodings.gptq import round_for_inputs
from coldpress.shrink.scopes import defined_names, fresh_name, input_names, is_standard, output_names, use_counts
from coldpress.static.calibrate import Seen
from coldpress.static.operators import ABSORBED, PASSING, PRODUCTS, Graph

__all__ = ["WeightForm", "Writer", "output_axis"]

WeightForm = Literal["s7", "s8", "u8"]
"""Codes of weights: signed within ±64, signed within ±127, unsigned around 128."""
_LEVELS: Mapping[WeightForm, int] = {"s7": 64, "s8": 127, "u8": 127}
_LEAST_SCALE = 1e-30
"""Keeps a scale, and the product of two, a normal float32 above zero."""
_MOST_BIAS = 2.0**30
"""Largest code of a bias; the sums it is added to need room in 32 bits too."""
_SHARES = ("Sigmoid", "Softmax")
"""Operators with answers from 0 to 1, whose codes stand for multiples of 1/256 whatever was seen."""


class _Grid(NamedTuple):
    """Where codes of an activation lie: value = (code - zero) * scale; the names of both in the model."""

    scale: np.float32
    zero: int
    names: tuple[str, str]


class Writer:
    """One quantised model in the making; the arguments are those of ``Quantiser`` and of its ``write``."""

    def __init__(
        self,
        model: ModelProto,
        graph: Graph,
        ranges: Mapping[str, Seen],
        means: Mapping[str, np.ndarray],
        *,
        nodes: frozenset[str],
        form: WeightForm,
        per_channel: bool,
        correct: bool,
        grams: Mapping[str, np.ndarray],
    ) -> None:
        self._graph = graph
        self._ranges = ranges
        self._means = means
        self._nodes = nodes
        self._form: WeightForm = form
        self._per_channel = per_channel
        self._correct = correct
        self._grams = grams
        self._model = ModelProto()
        self._model.CopyFrom(model)
        self._taken = set(defined_names(self._model.graph))
        self._outputs = set(output_names(self._model.graph))
        self._weights: list[TensorProto] = []
        self._scalars: dict[tuple[str, bytes], str] = {}
        self._grids: dict[str, _Grid] = {}
        self._decoded: dict[str, str] = {}
        self._kernels: dict[tuple[Any, ...], tuple[str, np.ndarray, np.ndarray]] = {}

    def write(self) -> ModelProto:
        """Return the model with its nodes between QuantizeLinear and DequantizeLinear."""
        graph = self._model.graph
        coded = self._coded()
        roots = self._shared(coded)
        for value in coded:
            root = roots[value]
            if root not in self._grids:
                self._grids[root] = self._grid(root)
            self._grids[value] = self._grids[root]
        written: list[NodeProto] = []
        for name in input_names(graph):
            if name in coded:
                written += self._pair(name, name, self._fresh("d"))
        for node in graph.node:
            written += self._rewritten(node, coded)
        del graph.node[:]
        graph.node.extend(written)
        graph.initializer.extend(self._weights)
        _drop_unread(self._model)
        return self._model

    def _coded(self) -> dict[str, None]:
        """Return the values that become codes, in order: what quantised nodes read and make.

        What an absorbed Relu reads stays as it is, so that the two become one kernel; the result of a MatMul or Gemm
        that no quantised node reads stays float, as its kernel can give that.
        """
        coded: dict[str, None] = {}
        readers = self._graph.readers
        for name, node in self._graph.nodes.items():
            if name not in self._nodes:
                continue
            if node.op_type not in ABSORBED:
                coded.update(dict.fromkeys(self._graph.sources[name]))
            for output in filter(None, node.output):
                after = [self._graph.nodes[reader] for reader in readers.get(output, ()) if reader in self._nodes]
                if after and all(reader.op_type in ABSORBED for reader in after):
                    continue
                if node.op_type in {"MatMul", "Gemm"} and not after:
                    continue
                coded[output] = None
        return coded

    def _shared(self, coded: Collection[str]) -> dict[str, str]:
        """Return for each value the one whose scale it takes: through a node that only moves values, its input's."""
        roots = {value: value for value in coded}
        for name, node in self._graph.nodes.items():
            if name in self._nodes and node.op_type in PASSING:
                source = self._graph.sources[name][0]
                for output in filter(None, node.output):
                    roots[output] = roots[source]
        return roots

    def _grid(self, value: str) -> _Grid:
        low, high, _ = self._ranges[value]
        producer = self._graph.producers.get(value)
        if producer is not None and is_standard(producer, *_SHARES):
            return self._grid_of(np.float32(1 / 256), 0)
        low, high = min(low, 0.0), max(high, 0.0)
        scale = np.float32(max((high - low) / 255, _LEAST_SCALE))
        return self._grid_of(scale, int(np.clip(np.rint(-low / scale), 0, 255)))

    def _grid_of(self, scale: np.float32, zero: int) -> _Grid:
        return _Grid(scale, zero, (self._constant(scale), self._constant(np.uint8(zero))))

    def _rewritten(self, node: NodeProto, coded: Collection[str]) -> list[NodeProto]:
        """Return ``node`` with what comes before it, its constants decoded, and what comes after."""
        name = node.output[0] if node.output else ""
        copy = NodeProto()
        copy.CopyFrom(node)
        before: list[NodeProto] = []
        if name in self._nodes:
            for index, value in enumerate(node.input):
                if value in self._decoded:
                    copy.input[index] = self._decoded[value]
            before = self._with_constants(node, copy)
        else:
            for index, value in enumerate(node.input):
                if value in self._decoded and self._graph.source(value) in self._nodes:
                    copy.input[index] = self._decoded[value]
        after: list[NodeProto] = []
        for index, output in enumerate(node.output):
            if output not in coded:
                continue
            if output in self._outputs and name in self._nodes:
                copy.output[index] = self._fresh("f")
                after += self._pair(output, copy.output[index], output)
            else:
                after += self._pair(output, output, self._fresh("d"))
        return [*before, copy, *after]

    def _pair(self, value: str, source: str, target: str) -> list[NodeProto]:
        grid, codes = self._grids[value], self._fresh("q")
        self._decoded[value] = target
        return [
            helper.make_node("QuantizeLinear", [source, *grid.names], [codes]),
            helper.make_node("DequantizeLinear", [codes, *grid.names], [target]),
        ]

    def _with_constants(self, node: NodeProto, copy: NodeProto) -> list[NodeProto]:
        """Make ``copy`` read decoded constants; return the nodes that decode them."""
        graph = self._graph
        made: list[NodeProto] = []
        if node.op_type in PRODUCTS and len(node.input) > 1 and node.input[1] in graph.constants:
            weight = numpy_helper.to_array(graph.constants[node.input[1]])
            axis = output_axis(node, weight.ndim) if self._per_channel else None
            bias = None
            if len(node.input) > 2 and node.input[2]:
                bias = numpy_helper.to_array(graph.constants[node.input[2]]).reshape(-1).astype(np.float64)
            decoded, scale, rounded = self._kernel(node, weight, axis, bias, made)
            copy.input[1] = decoded
            if node.op_type == "MatMul":
                return made
            if self._correct and node.op_type == "Conv" and (shift := self._shift(node, weight, rounded)) is not None:
                bias = shift if bias is None else bias + shift
            if bias is not None:
                del copy.input[2:]
                copy.input.append(self._bias(bias, self._grids[node.input[0]].scale, scale, made))
            return made
        if node.op_type in {"Add", "Mul"}:
            for index, name in enumerate(node.input):
                if name in graph.constants:
                    copy.input[index] = self._operand(numpy_helper.to_array(graph.constants[name]), made)
        return made

    def _kernel(
        self, node: NodeProto, weight: np.ndarray, axis: int | None, bias: np.ndarray | None, made: list[NodeProto]
    ) -> tuple[str, np.ndarray, np.ndarray]:
        """Store a weight as codes; return the decoded value's name, the scales (float32) and the rounded weight."""
        levels = _LEVELS[self._form]
        others = tuple(i for i in range(weight.ndim) if i != axis)
        largest = np.abs(weight).max(axis=others if axis is not None else None, initial=0.0)
        least: np.ndarray | float = _LEAST_SCALE
        if bias is not None:
            # A channel of weights near zero must not give its bias a step so small that 32 bits do not hold it.
            needed = np.abs(bias) / (self._grids[node.input[0]].scale * _MOST_BIAS)
            least = np.maximum(needed if axis is not None else needed.max(), _LEAST_SCALE)
        scale = np.maximum(largest / levels, least).astype(np.float32)
        key = (node.input[1], axis, scale.tobytes())
        if key not in self._kernels:
            shape = [-1 if i == axis else 1 for i in range(weight.ndim)]
            codes = self._codes(node.input[1], weight, scale.reshape(shape), axis, levels)
            zero, kind = (128, np.uint8) if self._form == "u8" else (0, np.int8)
            decoded = self._fresh("w")
            zeros = self._constant(np.full(scale.shape, zero, kind))
            names = [self._store("w", (codes + zero).astype(kind)), self._constant(scale), zeros]
            made.append(helper.make_node("DequantizeLinear", names, [decoded], axis=axis))
            self._kernels[key] = decoded, scale, codes * scale.reshape(shape)
        return self._kernels[key]

    def _codes(self, name: str, weight: np.ndarray, scale: np.ndarray, axis: int | None, levels: int) -> np.ndarray:
        """Return ``weight`` in whole steps of ``scale``: the nearest, or with a Gram matrix those that keep answers."""
        gram = self._grams.get(name)
        if gram is None or axis is None or weight.size != weight.shape[axis] * len(gram):
            return np.asarray(np.clip(np.rint(weight / scale), -levels, levels))
        moved = np.moveaxis(weight, axis, 0)
        rows = np.ascontiguousarray(moved.reshape(len(moved), -1), dtype=np.float32)
        step = scale.reshape(-1)

        def nearest(_: int, wanted: np.ndarray) -> np.ndarray:
            return np.asarray(np.clip(np.rint(wanted / step), -levels, levels) * step, np.float32)

        rounded = round_for_inputs(rows, gram, nearest).reshape(moved.shape)
        return np.asarray(np.rint(np.moveaxis(rounded, 0, axis) / scale))

    def _shift(self, node: NodeProto, weight: np.ndarray, rounded: np.ndarray) -> np.ndarray | None:
        """Return for each output channel what rounding took from the mean of its results, but for padding's part.

        The mean over x of (W - W') x is (W - W') times the mean of x (Nagel et al. 2019, "Data-Free Quantization").
        """
        mean = self._means.get(node.input[0])
        if mean is None:
            return None
        taken = (weight - rounded).reshape(*weight.shape[:2], -1).sum(axis=2, dtype=np.float64)
        out, each = taken.shape
        groups = len(mean) // each
        shift: np.ndarray = np.einsum(
            "gok,gk->go", taken.reshape(groups, out // groups, each), mean.reshape(groups, each)
        )
        return shift.reshape(-1)

    def _bias(self, bias: np.ndarray, source: np.float32, weight: np.ndarray, made: list[NodeProto]) -> str:
        """Store a bias in units of the sums' steps, which its kernel requires; return the decoded value's name."""
        scale = np.broadcast_to(weight * source, bias.shape if weight.ndim else ()).astype(np.float32)
        codes = np.clip(np.rint(bias / np.maximum(scale, _LEAST_SCALE)), -_MOST_BIAS, _MOST_BIAS).astype(np.int32)
        decoded = self._fresh("b")
        names = [self._store("b", codes), self._constant(scale), self._constant(np.zeros(scale.shape, np.int32))]
        made.append(helper.make_node("DequantizeLinear", names, [decoded], axis=0 if scale.ndim else None))
        return decoded

    def _operand(self, values: np.ndarray, made: list[NodeProto]) -> str:
        """Store a constant operand of Add or Mul as unsigned codes; return the decoded value's name."""
        low, high = min(float(values.min(initial=0)), 0.0), max(float(values.max(initial=0)), 0.0)
        scale = np.float32(max((high - low) / 255, _LEAST_SCALE))
        grid = self._grid_of(scale, int(np.clip(np.rint(-low / scale), 0, 255)))
        codes = np.clip(np.rint(values / scale) + grid.zero, 0, 255).astype(np.uint8)
        decoded = self._fresh("c")
        made.append(helper.make_node("DequantizeLinear", [self._store("c", codes), *grid.names], [decoded]))
        return decoded

    def _constant(self, values: np.ndarray | np.generic) -> str:
        """Return the name of a constant with these values, stored once."""
        array = np.asarray(values)
        key = (f"{array.dtype}{array.shape}", array.tobytes())
        if key not in self._scalars:
            self._scalars[key] = self._store("s", array)
        return self._scalars[key]

    def _store(self, stem: str, array: np.ndarray) -> str:
        name = self._fresh(stem)
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        return name

    def _fresh(self, stem: str) -> str:
        return fresh_name(self._taken, f"{stem}{len(self._taken)}")


def output_axis(node: NodeProto, rank: int) -> int | None:
    """Return the axis of output channels; None for a stack of matrices, whose kernel takes one scale."""
    if node.op_type == "Conv":
        return 0
    if rank != 2:
        return None
    if node.op_type == "Gemm":
        return 0 if any(attribute.name == "transB" and attribute.i for attribute in node.attribute) else 1
    return 1


def _drop_unread(model: ModelProto) -> None:
    """Drop the initialisers that nothing reads any more."""
    uses = use_counts(model.graph)
    kept = [tensor for tensor in model.graph.initializer if uses[tensor.name]]
    if len(kept) < len(model.graph.initializer):
        copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copies)
