"""Static int8: write ``QuantizeLinear`` and ``DequantizeLinear`` so that ONNX Runtime computes with integers.

ONNX Runtime replaces each operator between the two by its integer kernel as it opens the model. This is our own writer
and not ``onnxruntime.quantization.quantize_static``, for reasons each of which was met on a real model:

- the search for what must stay in float writes the model a hundred times from one calibration; ``quantize_static``
  calibrates again every time, and its calibrators hold all activations of all requests;
- it needs shape inference to succeed, leaves temporary files when it does not, logs through the root logger, and
  relabels old operator sets without converting what changed between them;
- it quantises an elementwise operator wherever it stands, so the wide-ranged arithmetic at the end of a detector is
  ruined; here one is taken only where it lies between two products, which is where it saves time;
- its biases are rounded and never corrected for what the rounding of weights shifts.

**No saturation, on any CPU.** x86 CPUs without VNNI multiply unsigned by signed bytes and add pairs of products in 16
bits that saturate at 32,767 (``vpmaddubsw``). With weights in -64...64 a pair is at most 255 * 64 * 2 = 32,640, and at
least -32,640, so nothing can saturate and the answers are the same on every CPU (``reduce_range``, seven bits). With
weights in -127...127 a pair reaches 64,770. The other safe form, weights as unsigned bytes around 128, keeps eight
bits; its kernel on those CPUs widens to 16 bits before multiplying, and is slower there.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from coldpress.errors import ModelError
from coldpress.shrink.scopes import defined_names, fresh_name, input_names, is_standard, output_names, use_counts
from coldpress.static.calibrate import Method, Seen, calibrate, channel_means
from coldpress.static.modernise import modernise
from coldpress.static.narrow import narrow
from coldpress.static.operators import ABSORBED, PASSING, PRODUCTS, Graph

__all__ = ["Quantiser", "WeightForm", "quantise"]

WeightForm = Literal["s7", "s8", "u8"]
"""Codes of weights: signed within ±64, signed within ±127, unsigned around 128."""
_LEVELS: Mapping[WeightForm, int] = {"s7": 64, "s8": 127, "u8": 127}
_LEAST_SCALE = 1e-30
"""Keeps a scale, and the product of two, a normal float32 above zero."""
_MOST_BIAS = 2.0**30
"""Largest code of a bias; the sums it is added to need room in 32 bits too."""
_SHARES = ("Sigmoid", "Softmax")
"""Operators with answers from 0 to 1, whose codes stand for multiples of 1/256 whatever was seen."""


def quantise(
    model: ModelProto,
    calibration: Sequence[Mapping[str, Any]],
    *,
    exclude: Collection[str] = (),
    products: bool = False,
    per_channel: bool = True,
    reduce_range: bool = True,
    method: Method = "minmax",
) -> ModelProto:
    """Return ``model`` with all that can be computed with integers between QuantizeLinear and DequantizeLinear.

    Args:
        model: After the lossless strip, best with BatchNormalization folded; it is left as it is.
        calibration: Requests, inputs by name, like those the model will get.
        exclude: Nodes to leave in float, by first output.
        products: Take Conv, MatMul and Gemm only, and leave what lies between them in float.
        per_channel: A scale for each output channel of a weight instead of one.
        reduce_range: Weights of seven bits, signed; else of eight bits, unsigned. Neither can saturate.
        method: How ranges of activations are found.

    Raises:
        ModelError: No node can be quantised, or the operator set is too old to convert.
        SamplesError: There are no requests, or the model does not run on one.
    """
    made = Quantiser.of(model, calibration, method=method)
    nodes = made.graph.choose(exclude, products=products)
    if not nodes:
        raise ModelError("The model has no Conv, MatMul or Gemm with constant weights to compute with integers.")
    return made.write(nodes, form="s7" if reduce_range else "u8", per_channel=per_channel)


class _Grid(NamedTuple):
    """Where codes of an activation lie: value = (code - zero) * scale; the names of both in the model."""

    scale: np.float32
    zero: int
    names: tuple[str, str]


@dataclass(frozen=True)
class Quantiser:
    """A model with the ranges of its activations, from which quantised models are written.

    Attributes:
        model: Of opset 13 or later.
        graph: Its nodes that have integer kernels.
        ranges: Of every activation that these read or make.
        means: By channel, of the activations that Conv reads.
        method: How the ranges were found.
    """

    model: ModelProto
    graph: Graph
    ranges: Mapping[str, Seen]
    means: Mapping[str, np.ndarray]
    method: Method

    @classmethod
    def of(cls, model: ModelProto, requests: Sequence[Mapping[str, Any]], *, method: Method = "minmax") -> "Quantiser":
        """Convert ``model`` where it is too old, and calibrate it on ``requests``."""
        if requests:
            model = modernise(model, requests[0])
        graph = Graph.of(model.graph)
        values = dict.fromkeys(
            value for name, node in graph.nodes.items() for value in (*graph.sources[name], *filter(None, node.output))
        )
        ranges = calibrate(model, list(values), requests, method)
        graph = graph.within(ranges)
        readers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for value in dict.fromkeys(node.input):
                readers.setdefault(value, []).append(node)
        ranges = narrow(graph, ranges, readers)
        weighted = dict.fromkeys(graph.sources[name][0] for name, node in graph.nodes.items() if node.op_type == "Conv")
        return cls(model, graph, ranges, channel_means(model, list(weighted), requests), method)

    def cost(self, nodes: Collection[str]) -> float:
        """Return what ``nodes`` compute for one request, in multiplications; an elementwise node's value counts 8."""
        total = 0.0
        for name in nodes:
            node, size = self.graph.nodes[name], self.ranges[name].size
            each = 8.0
            if node.op_type in PRODUCTS:
                each = self.ranges[self.graph.sources[name][0]].size ** 0.5
                if (weight := self.graph.constants.get(node.input[1])) is not None:
                    each = float(np.prod(weight.dims)) / max(weight.dims[_axis(node, len(weight.dims)) or 0], 1)
            total += size * each
        return total

    def write(
        self, nodes: Collection[str], *, form: WeightForm = "s7", per_channel: bool = True, correct: bool = True
    ) -> ModelProto:
        """Return a copy of the model with ``nodes`` (by first output) quantised, and no others.

        Args:
            nodes: Best chosen by ``graph.choose``.
            form: Of the weights.
            per_channel: A scale for each output channel.
            correct: Shift biases by what rounded weights add in the mean.
        """
        return _Writer(self, frozenset(nodes), form, per_channel, correct).write()


class _Writer:
    """One quantised model in the making."""

    def __init__(
        self, made: Quantiser, nodes: frozenset[str], form: WeightForm, per_channel: bool, correct: bool
    ) -> None:
        self._made = made
        self._graph = made.graph
        self._nodes = nodes
        self._form: WeightForm = form
        self._per_channel = per_channel
        self._correct = correct
        self._model = ModelProto()
        self._model.CopyFrom(made.model)
        self._taken = set(defined_names(self._model.graph))
        self._outputs = set(output_names(self._model.graph))
        self._weights: list[TensorProto] = []
        self._scalars: dict[tuple[str, bytes], str] = {}
        self._grids: dict[str, _Grid] = {}
        self._decoded: dict[str, str] = {}
        self._kernels: dict[tuple[Any, ...], tuple[str, np.ndarray, np.ndarray]] = {}

    def write(self) -> ModelProto:
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
        low, high, _ = self._made.ranges[value]
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
            axis = _axis(node, weight.ndim) if self._per_channel else None
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
            codes = np.clip(np.rint(weight / scale.reshape(shape)), -levels, levels)
            zero, kind = (128, np.uint8) if self._form == "u8" else (0, np.int8)
            decoded = self._fresh("w")
            zeros = self._constant(np.full(scale.shape, zero, kind))
            names = [self._store("w", (codes + zero).astype(kind)), self._constant(scale), zeros]
            made.append(helper.make_node("DequantizeLinear", names, [decoded], axis=axis))
            self._kernels[key] = decoded, scale, codes * scale.reshape(shape)
        return self._kernels[key]

    def _shift(self, node: NodeProto, weight: np.ndarray, rounded: np.ndarray) -> np.ndarray | None:
        """Return for each output channel what rounding took from the mean of its results, but for padding's part.

        The mean over x of (W - W') x is (W - W') times the mean of x (Nagel et al. 2019, "Data-Free Quantization").
        """
        mean = self._made.means.get(node.input[0])
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


def _axis(node: NodeProto, rank: int) -> int | None:
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
