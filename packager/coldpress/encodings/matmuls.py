"""Products by a constant matrix, and the nodes that compute them with an encoded one.

MatMul and Gemm differ in what they do around the product. Compute encodings write the product alone; the rest of a
Gemm (a transposed input, factors, an addend) becomes nodes of its own here.
"""

from collections.abc import Callable

import numpy as np
from onnx import NodeProto

from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Site
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Body, bodies

__all__ = ["DOMAIN", "from_rows", "refusal", "replace_products", "rows_of"]

DOMAIN = "com.microsoft"
"""Where ONNX Runtime keeps the operators that multiply by codes."""
Multiply = Callable[[Body, str, str], None]
"""Adds the nodes for one product to the decoder: told the graph, the name of the left operand and that of the result.
"""


def refusal(site: Site) -> str:
    """Say why the weight is not the right operand of products alone, or not a matrix; nothing when it is both."""
    if site.role not in ("matmul", "gemm"):
        return "not every reader multiplies by it"
    if len(site.shape) != 2 or site.axis not in (0, 1):
        return "it is not one matrix"
    return ""


def rows_of(weight: np.ndarray, site: Site) -> np.ndarray:
    """Return the weight as [N, K]: a row for each output channel, along it what is summed over."""
    return np.ascontiguousarray(weight if site.axis == 0 else weight.T)


def from_rows(rows: np.ndarray, site: Site) -> np.ndarray:
    """Return what ``rows_of`` made [N, K] in ``site.shape``."""
    return np.ascontiguousarray(rows if site.axis == 0 else rows.T)


def replace_products(draft: Draft, site: Site, decoder: Decoder, multiply: Multiply) -> None:
    """Put the nodes that ``multiply`` adds to ``decoder``, and those around the product, in every reader's place.

    The model then imports ``DOMAIN``, for whose operators this is.
    ``decoder`` must hold no nodes yet; those for the weight itself are added after this.
    """
    if all(entry.domain != DOMAIN for entry in draft.proto.opset_import):
        draft.proto.opset_import.add(domain=DOMAIN, version=1)
    for body in bodies(draft.proto.graph):
        for node in [node for node in body.node if site.name in node.input]:
            _add_product(decoder, body, node, multiply)
            place = next(number for number, other in enumerate(body.node) if other is node)
            del body.node[place]
            for made in reversed(decoder.take_nodes()):
                body.node.insert(place, made)


def _add_product(decoder: Decoder, body: Body, node: NodeProto, multiply: Multiply) -> None:
    """Add what ``node`` computes: for a Gemm ``alpha * A @ B + beta * C``, A transposed or not."""
    left, output = node.input[0], node.output[0]
    if node.op_type != "Gemm":
        multiply(body, left, output)
        return
    given = {attribute.name: attribute for attribute in node.attribute}
    alpha, beta = (given[name].f if name in given else 1.0 for name in ("alpha", "beta"))
    addend = node.input[2] if len(node.input) > 2 else ""
    if "transA" in given and given["transA"].i:
        left = decoder.node("Transpose", left, perm=[1, 0])
    product = output if alpha == 1 and not addend else decoder.fresh()
    multiply(body, left, product)
    if alpha != 1:
        product = decoder.node("Mul", product, _number(decoder, alpha), output="" if addend else output)
    if addend and beta != 1:
        addend = decoder.node("Mul", addend, _number(decoder, beta))
    if addend:
        decoder.node("Add", product, addend, output=output)


def _number(decoder: Decoder, value: float) -> str:
    return decoder.constant(np.array(value, np.float32))
