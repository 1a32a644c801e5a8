"""Packed codes expanded in the graph, and tables that stay packed: rows are looked up first and expanded after.

A table of 30,000 words that is expanded while the model is opened takes 47 MB and half the time to open it. A request
asks for a few rows, so Gather comes first, on the packed rows and on their scales, and only what it gives is expanded.
An int8 or float16 table gets there by the pass ``shrink/late_expansion``; a packed one cannot, because unpacking makes
more columns, so it is written that way here.
"""

from collections.abc import Sequence
from math import prod

import numpy as np
from onnx import NodeProto, TensorProto

from coldpress.encodings.blocks import Blocks
from coldpress.encodings.codebooks import levels, nibbles, scale_table
from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import bodies, delete_at, opset_of

__all__ = ["expand", "planes_of", "write_rows"]


def planes_of(encoded: Encoded) -> list[np.ndarray]:
    """Return the planes of the codes, the highest first."""
    return [part for name, part in encoded.parts.items() if name.startswith("codes")]


def expand(decoder: Decoder, bits: int, planes: Sequence[str], scales: str, unit: str, shape: Sequence[int]) -> str:
    """Add the nodes that make float32 of ``shape`` (0 first keeps the planes' dimension) of planes and scales.

    Pairs of codes are looked up in a table of all pairs, which is one operator at any opset where shifts and masks are
    many, and gives levels of any spacing. Nodes that make tables are the same for every weight:
    ``merge_common_nodes`` leaves one of each.
    """
    values = planes[0]
    if bits != 8:
        pairs = decoder.cast(values, TensorProto.INT32)
        if bits == 6:
            pairs = decoder.node("Add", pairs, _high_bits(decoder, planes[1], shape))
        values = decoder.node("Gather", _pairs_of_levels(decoder, bits), pairs)
    values = decoder.cast(decoder.node("Reshape", values, decoder.integers(*shape)), TensorProto.FLOAT)
    places = decoder.cast(scales, TensorProto.INT32)
    sizes = decoder.node("Mul", decoder.node("Gather", decoder.constant(scale_table()), places), unit)
    return decoder.node("Mul", values, sizes)


def _high_bits(decoder: Decoder, plane: str, shape: Sequence[int]) -> str:
    """Return what the high four bits of 12 add to a pair, as int32 in the shape of the plane of low bits."""
    table = decoder.cast(decoder.constant(nibbles()), TensorProto.INT32)
    table = decoder.node("Mul", table, decoder.constant(np.array(256, np.int32)))
    high = decoder.node("Gather", table, decoder.cast(plane, TensorProto.INT32))
    if shape[0]:
        return decoder.node("Reshape", high, decoder.integers(prod(shape) // 2))
    return decoder.node("Reshape", high, decoder.integers(0, prod(shape[1:]) // 2))


def _pairs_of_levels(decoder: Decoder, bits: int) -> str:
    """Return the levels that each pair of codes stands for: int8 [4**bits, 2]; the file holds each level once."""
    count = 1 << bits
    table = decoder.constant(levels(bits))
    first = decoder.node("Tile", table, decoder.integers(count))
    column = decoder.node("Reshape", table, decoder.integers(count, 1))
    second = decoder.node("Tile", column, decoder.integers(1, count))
    flat = decoder.integers(count * count, 1)
    return decoder.node("Concat", decoder.node("Reshape", first, flat), decoder.node("Reshape", second, flat), axis=1)


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
