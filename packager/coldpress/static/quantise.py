"""Static int8: write ``QuantizeLinear`` and ``DequantizeLinear`` so that ONNX Runtime computes with integers.

ONNX Runtime replaces each operator between the two by its integer kernel as it opens the model. This is our own writer
and not ``onnxruntime.quantization.quantize_static``, for reasons each of which was met on a real model:

- the search for what must stay in float writes the model a hundred times from one calibration; ``quantize_static``
  calibrates again every time, and its calibrators hold all activations of all requests;
- it needs shape inference to succeed, writes temporary files, logs through the root logger, and below opset 13 writes
  scales a channel that ONNX Runtime then refuses to load; here old operator sets are converted, and checked;
- it quantises an elementwise operator wherever it stands, so the wide-ranged arithmetic at the end of a detector is
  ruined; here one is taken only where it lies between two products, which is where it saves time;
- its biases are rounded and never corrected for what the rounding of weights shifts.

**No saturation, on any CPU.** x86 CPUs without VNNI multiply unsigned by signed bytes and add pairs of products in 16
bits that saturate at 32,767 (``vpmaddubsw``). With weights in -64...64 a pair is at most 255 * 64 * 2 = 32,640, and at
least -32,640, so nothing can saturate and the answers are the same on every CPU (``reduce_range``, seven bits). With
weights in -127...127 a pair reaches 64,770. The other safe form, weights as unsigned bytes around 128, keeps eight
bits; its kernel on those CPUs widens to 16 bits before multiplying. It is the slower one with VNNI as well: a thin
ResNet-50 took 16.8 ms instead of 7.4 for scores 0.004 nearer. Seven bits are therefore the default.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto

from coldpress.errors import ModelError
from coldpress.static.calibrate import Method, Seen, calibrate, channel_means
from coldpress.static.modernise import modernise
from coldpress.static.narrow import narrow
from coldpress.static.operators import PRODUCTS, Graph
from coldpress.static.writer import WeightForm, Writer, output_axis

__all__ = ["Quantiser", "quantise"]


def quantise(
    model: ModelProto,
    calibration: Sequence[Mapping[str, Any]],
    *,
    exclude: Collection[str] = (),
    products: bool = False,
    per_channel: bool = True,
    reduce_range: bool = True,
    method: Method = "minmax",
    grams: Mapping[str, np.ndarray] | None = None,
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
        grams: See ``coldpress.encodings.gram.input_grams``; without, each weight is rounded to the nearest step.

    Raises:
        ModelError: No node can be quantised, or the operator set is too old to convert.
        SamplesError: There are no requests, or the model does not run on one.
    """
    made = Quantiser.of(model, calibration, method=method)
    nodes = made.graph.choose(exclude, products=products)
    if not nodes:
        raise ModelError("The model has no Conv, MatMul or Gemm with constant weights to compute with integers.")
    return made.write(nodes, form="s7" if reduce_range else "u8", per_channel=per_channel, grams=grams)


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
                    each = float(np.prod(weight.dims)) / max(weight.dims[output_axis(node, len(weight.dims)) or 0], 1)
            total += size * each
        return total

    def write(
        self,
        nodes: Collection[str],
        *,
        form: WeightForm = "s7",
        per_channel: bool = True,
        correct: bool = True,
        grams: Mapping[str, np.ndarray] | None = None,
    ) -> ModelProto:
        """Return a copy of the model with ``nodes`` (by first output) quantised, and no others.

        Args:
            nodes: Best chosen by ``graph.choose``.
            form: Of the weights.
            per_channel: A scale for each output channel.
            correct: Shift biases by what rounded weights add in the mean.
            grams: By name of a weight, the sum of x xᵀ over its inputs, to round so that answers keep.
        """
        writer = Writer(
            self.model,
            self.graph,
            self.ranges,
            self.means,
            nodes=frozenset(nodes),
            form=form,
            per_channel=per_channel,
            correct=correct,
            grams=grams or {},
        )
        return writer.write()
