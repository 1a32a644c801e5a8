"""Few bits on disk: a weight stored as small codes and scales, which standard operators make float32 again.

ONNX Runtime computes them while it opens the model (it does not fold DequantizeLinear, which would run at every
request), so a request costs what it cost and takes no less memory. Any operator may read such a weight, at any opset
from 7 on, in inner graphs too; with the engine's optimisations off the same nodes run at every request.
"""

import numpy as np
from onnx import TensorProto

from coldpress.encodings.blocks import blocks_of, channel_scale_shape, channels, from_channels
from coldpress.encodings.clip import best_scales, levels_of, snap
from coldpress.encodings.codebooks import FILL_BYTES, levels, pack, scale_codes, scale_table, unpack
from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.encodings.gptq import round_for_inputs
from coldpress.encodings.row_storage import expand, planes_of, write_rows
from coldpress.shrink.draft import Draft

__all__ = ["BlockStorage", "Int8Storage"]


class Int8Storage:
    """``Mul(Cast(int8), scales)`` with one float32 scale an output channel: a quarter of the bytes.

    Args:
        bits: Codes are of so many bits, in a byte each; for fewer than 8 see ``transport``.
        zeros: The share of each channel's weights, the smallest, that become zero first.
    """

    def __init__(
        self, name: str = "int8-storage", family: str = "int8-storage", bits: int = 8, zeros: float = 0
    ) -> None:
        self.name = name
        self.family = family
        self._levels = levels_of(bits)
        self._zeros = zeros

    def refusal(self, site: Site) -> str:
        """Say why not: it would not be smaller."""
        return "" if self.nbytes(site) < site.nbytes else "it would not be smaller"

    def nbytes(self, site: Site) -> int:
        """Return one byte a value and four a channel."""
        return site.elements + 4 * int(np.prod(channel_scale_shape(site), dtype=np.int64))

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:
        """Round to the nearest of equal steps in each channel, or by GPTQ with a ``gram``."""
        groups = channels(site, weight)
        kept = _largest(groups, self._zeros)
        groups = groups * kept
        scales = best_scales(groups, self._levels)
        if gram is not None and _fits(gram, site):
            groups = _rounded(channels(site, weight), scales[:, None] * kept, self._levels, gram)
        codes = from_channels(site, snap(groups, scales, self._levels))
        return Encoded({"codes": codes, "scales": scales.reshape(channel_scale_shape(site))})

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:
        """Return float32 of ``site.shape``."""
        product: np.ndarray = encoded.parts["codes"].astype(np.float32) * encoded.parts["scales"]
        return product.reshape(site.shape)

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Put codes, scales, a Cast and a Mul in the weight's place."""
        decoder = Decoder(draft, site.name)
        codes = decoder.cast(decoder.constant(encoded.parts["codes"]), TensorProto.FLOAT)
        decoder.node("Mul", codes, decoder.constant(encoded.parts["scales"]), output=site.name)
        decoder.place()


_BLOCK = 32
"""The most values that share a scale."""


class BlockStorage:
    """Codes of 8, 6 or 4 bits, one byte of scale for each block, one float32 for the tensor.

    Blocks of 32 make that a quarter of a bit a value. Codes of 6 and 4 bits stand for levels in unequal steps. A table
    that is only looked up in by rows stays packed in memory, too: see ``row_storage``.
    """

    def __init__(self, bits: int) -> None:
        self.family = f"int{bits}-storage"
        self.name = self.family if bits < 8 else f"int8-storage-b{_BLOCK}"
        self._bits = bits

    def refusal(self, site: Site) -> str:
        """Say why not: a number of values that does not fill bytes."""
        length = site.elements if site.role != "rows" else site.elements // max(1, site.shape[0])
        together = FILL_BYTES[self._bits]
        if length % together:
            kind = "rows" if site.role == "rows" else "a tensor"
            return f"{kind} of {length:,} values cannot be packed {together} to a byte"
        return "" if self.nbytes(site) < site.nbytes else "it would not be smaller"

    def nbytes(self, site: Site) -> int:
        """Return the bytes of the codes, of a scale a block, and of the unit of the scales."""
        blocks = blocks_of(site, _BLOCK)
        return site.elements * self._bits // 8 + int(np.prod(blocks.scales, dtype=np.int64)) + 4

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:
        """Choose scales by the squared error of the weights, then levels: the nearest, or by GPTQ with a ``gram``."""
        blocks = blocks_of(site, _BLOCK)
        groups = blocks.groups(weight)
        scales, unit = scale_codes(groups, levels(self._bits))
        sizes = scale_table()[scales] * unit
        if gram is not None and _fits(gram, site):
            everywhere = np.broadcast_to(sizes.reshape(blocks.scales), blocks.shape).reshape(site.shape)
            rows = _rounded(channels(site, weight), channels(site, everywhere), levels(self._bits), gram)
            groups = blocks.groups(from_channels(site, rows))
        values = snap(groups, sizes, levels(self._bits))
        planes = pack(blocks.whole(values).reshape(-1), self._bits)
        parts = {f"codes{number}": plane for number, plane in enumerate(planes)}
        return Encoded(parts | {"scales": scales.reshape(blocks.scales), "unit": np.array(unit, np.float32)})

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:
        """Return float32 of ``site.shape``."""
        blocks = blocks_of(site, _BLOCK)
        values = unpack(planes_of(encoded), self._bits).astype(np.float32).reshape(blocks.shape)
        product: np.ndarray = values * (scale_table()[encoded.parts["scales"]] * encoded.parts["unit"])
        return product.reshape(site.shape)

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Put the parts and the nodes that expand them in the weight's place; behind the lookup, for a table."""
        blocks = blocks_of(site, _BLOCK)
        if site.role == "rows":
            write_rows(draft, site, encoded, self._bits, blocks)
            return
        decoder = Decoder(draft, site.name)
        planes = [decoder.constant(plane) for plane in planes_of(encoded)]
        scales, unit = decoder.constant(encoded.parts["scales"]), decoder.constant(encoded.parts["unit"])
        expanded = expand(decoder, self._bits, planes, scales, unit, blocks.shape)
        decoder.node("Reshape", expanded, decoder.integers(*site.shape), output=site.name)
        decoder.place()


def _largest(groups: np.ndarray, zeros: float) -> np.ndarray:
    """Return which weights of each group are not among its smallest, of which there are a share of ``zeros``."""
    count = int(zeros * groups.shape[1])
    if not count:
        return np.ones(groups.shape, np.bool_)
    sizes = np.abs(groups)
    bound = np.partition(sizes, count - 1, axis=1)[:, count - 1 : count]
    kept: np.ndarray = sizes > bound
    return kept


def _fits(gram: np.ndarray, site: Site) -> bool:
    """Whether ``gram`` is of what each output channel is multiplied with."""
    return site.axis is not None and len(gram) * site.shape[site.axis] == site.elements


def _rounded(rows: np.ndarray, scales: np.ndarray, levels: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """Return ``rows``, float32 [N, K], rounded by GPTQ to levels multiplied by ``scales``, [N, K]."""
    columns = np.ascontiguousarray(scales.T)

    def nearest(channel: int, wanted: np.ndarray) -> np.ndarray:
        values: np.ndarray = snap(wanted[:, None], columns[channel], levels)[:, 0] * columns[channel]
        return values

    return round_for_inputs(rows, gram, nearest)
