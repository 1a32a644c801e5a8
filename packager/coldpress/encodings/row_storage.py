"""Packed codes expanded in the graph, and tables that stay packed: rows are looked up first and expanded after.

A table of 30,000 words that is expanded while the model is opened takes 47 MB and half the time to open it. A request
asks for a few rows, so Gather comes first, on the packed rows and on their scales, and only what it gives is expanded.
An int8 or float16 table gets there by the pass ``shrink/late_expansion``; a packed one cannot, because unpacking makes
more columns, so it is written that way here.
"""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto

from coldpress.encodings.blocks import Blocks
from coldpress.encodings.codebooks import PLANES, levels, plane_table, scale_table
from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import bodies, delete_at, opset_of

__all__ = ["expand", "planes_of", "write_rows"]


def planes_of(encoded: Encoded) -> list[np.ndarray]:
    """Return the planes of the codes, the highest first."""
    return [part for name, part in encoded.parts.items() if name.startswith("codes")]


def expand(decoder: Decoder, bits: int, planes: Sequence[str], scales: str, unit: str, shape: Sequence[int]) -> str:
    """Add the nodes that make float32 of ``shape`` (0 keeps the planes' dimension) of planes and scales.

    Bytes are unpacked by looking them up in a table of 256 rows, which is one operator at any opset where shifts and
    masks are many, and gives levels of any spacing.
    """
    whole = decoder.integers(*shape)
    codes = [decoder.node("Reshape", _unpacked(decoder, bits, n, plane), whole) for n, plane in enumerate(planes)]
    if len(codes) > 1:
        total = decoder.node("Add", *(decoder.cast(code, TensorProto.INT32) for code in codes))
        codes = [decoder.node("Gather", decoder.constant(levels(bits)), total)]
    places = decoder.cast(scales, TensorProto.INT32)
    sizes = decoder.node("Mul", decoder.node("Gather", decoder.constant(scale_table()), places), unit)
    return decoder.node("Mul", decoder.cast(codes[0], TensorProto.FLOAT), sizes)


def _unpacked(decoder: Decoder, bits: int, number: int, plane: str) -> str:
    """Return levels, or the part of the codes that one of two planes holds: int8, a dimension more than the plane."""
    if bits == 8:
        return plane
    table = plane_table(bits, number)
    entries = levels(bits)[table] if PLANES[bits] == (bits,) else table.astype(np.int8)
    return decoder.node("Gather", decoder.constant(entries), decoder.cast(plane, TensorProto.INT32))


def write_rows(draft: Draft, site: Site, encoded: Encoded, bits: int, blocks: Blocks) -> None:
    """Put the parts in the table's place, and a lookup of packed rows that are then expanded in each Gather's.

    Below opset 14 indices of two dimensions or more, one of them zero, fail at run time: Reshape cannot say zero there.
    """
    rows = site.shape[0]
    decoder = Decoder(draft, site.name)
    planes = [decoder.constant(plane.reshape(rows, -1)) for plane in planes_of(encoded)]
    scales = decoder.constant(encoded.parts["scales"].reshape(rows, -1, 1))
    unit = decoder.constant(encoded.parts["unit"])
    zero_is_zero = {"allowzero": 1} if opset_of(draft.proto) >= 14 else {}

    def looked_up(gather: NodeProto) -> list[NodeProto]:
        """Take the rows as a list, expand them, and give them the shape of the indices."""
        indices, result = gather.input[1], gather.output[0]
        flat = decoder.node("Reshape", indices, decoder.integers(-1))
        found = [decoder.node("Gather", plane, flat) for plane in planes]
        sizes = decoder.node("Gather", scales, flat)
        expanded = expand(decoder, bits, found, sizes, unit, (0, *blocks.shape[2:]))
        shape = decoder.node("Concat", decoder.node("Shape", indices), decoder.integers(*site.shape[1:]), axis=0)
        decoder.node("Reshape", expanded, shape, output=result, **zero_is_zero)
        return decoder.take_nodes()

    for body in bodies(draft.proto.graph):
        for position in range(len(body.node) - 1, -1, -1):
            gather = body.node[position]
            if gather.input and gather.input[0] == site.name:
                nodes = looked_up(gather)
                delete_at(body.node, [position])
                for node in reversed(nodes):
                    body.node.insert(position, node)
    decoder.place()
