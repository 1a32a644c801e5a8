"""Ranges cut where the readers of a value no longer tell values apart.

A convolution before SiLU may give -170, and SiLU makes the same of that as of -7, nothing. Codes laid over what makes a
difference are finer: in a detector of that kind the step of the first layers halves.
"""

from collections.abc import Mapping

from onnx import NodeProto, numpy_helper

from coldpress.shrink.scopes import is_standard
from coldpress.static.calibrate import Seen
from coldpress.static.operators import Graph

__all__ = ["narrow"]

_SILU_LOW = -7.0
"""x * sigmoid(x) is -0.006 here and nearer to nothing below, less than half a step of any result above 3."""
_SIGMOID_SPAN = 8.0
"""sigmoid(8) is 0.9997, and its codes are multiples of 1/256."""
_HARD_LOW = -3.0
"""x * clip(x + 3, 0, 6) / 6 is nothing below (ONNX operator reference, HardSwish)."""


def narrow(graph: Graph, ranges: Mapping[str, Seen], readers: Mapping[str, list[NodeProto]]) -> dict[str, Seen]:
    """Return ``ranges`` with those of values narrowed that go into SiLU, HardSwish or Sigmoid and nowhere else.

    Args:
        graph: Tells constants, and how often a value is used.
        ranges: As seen.
        readers: Every node of the main graph that reads a value.
    """
    narrowed = dict(ranges)
    for value, seen in ranges.items():
        after = readers.get(value, [])
        if not after or graph.uses[value] != sum(list(node.input).count(value) for node in after):
            continue  # an output of the model, or read in an inner graph
        if all(is_standard(node, "Sigmoid") for node in after):
            narrowed[value] = seen._replace(low=max(seen.low, -_SIGMOID_SPAN), high=min(seen.high, _SIGMOID_SPAN))
        elif (least := _least(after, graph, readers)) is not None:
            narrowed[value] = seen._replace(low=max(seen.low, least), high=max(seen.high, 0.0))
    return narrowed


def _least(after: list[NodeProto], graph: Graph, readers: Mapping[str, list[NodeProto]]) -> float | None:
    """Return below which value its readers give nothing, None where they do not."""
    if len(after) == 1 and is_standard(after[0], "HardSwish"):
        return _HARD_LOW
    if len(after) != 2:
        return None
    gate = next((node for node in after if not is_standard(node, "Mul")), None)
    product = next((node for node in after if is_standard(node, "Mul")), None)
    if gate is None or product is None:
        return None
    if is_standard(gate, "Sigmoid") and gate.output[0] in product.input:
        return _SILU_LOW
    if is_standard(gate, "Add") and _scalar(graph, gate) == 3:
        gates = readers.get(gate.output[0], [])
        if len(gates) == 1 and is_standard(gates[0], "Clip") and gates[0].output[0] in product.input:
            bounds = [_value(graph, name) for name in gates[0].input[1:]]
            return _HARD_LOW if bounds and bounds[0] == 0 else None
    if is_standard(gate, "HardSigmoid") and gate.output[0] in product.input:
        factors = {attribute.name: attribute.f for attribute in gate.attribute}
        alpha, beta = factors.get("alpha", 0.2), factors.get("beta", 0.5)
        return -beta / alpha if alpha > 0 else None
    return None


def _scalar(graph: Graph, node: NodeProto) -> float | None:
    known = [name for name in node.input if name in graph.constants]
    return _value(graph, known[0]) if len(known) == 1 else None


def _value(graph: Graph, name: str) -> float | None:
    tensor = graph.constants.get(name)
    if tensor is None:
        return None
    array = numpy_helper.to_array(tensor)
    return float(array.reshape(-1)[0]) if array.size == 1 else None
