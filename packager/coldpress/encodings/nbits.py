"""Products by a matrix of 8-bit or 4-bit codes, multiplied as they are stored: ONNX Runtime's MatMulNBits.

The matrix is never expanded, so memory shrinks as the file does, and with ``accuracy_level`` 4 the kernel multiplies
int8 by codes. It rounds each row of the left operand to int8 in blocks of the same size, with a scale of its own a
block: answers are within 1 % of their largest magnitude of what the decoded weight gives (0.5 to 0.7 % in the root
mean square, more the larger the block). Level 0, which does not round, takes from 1.3 to 8 times as long.

On x86 answers do not depend on the CPU from AVX2 on: the kernel's sums of int8 products do not saturate as those of
MatMulInteger do without VNNI (compared with an emulated Haswell, weights and inputs at their extremes included).
Below AVX2 it computes in float32, without rounding the left operand; ARM kernels round it in their own way.

Scales are stored as one byte each (``codebooks``) and expanded by nodes that ONNX Runtime folds while it opens the
model; float32 ones would be a bit a weight. The codes go through a Reshape that is folded likewise: where
optimisations are off, nothing is folded, and the kernel gives wrong answers when it finds constant codes with scales
that are not constant (ONNX Runtime 1.31). With codes that are not constant either it is right, and slow.

Why not ``onnxruntime.quantization.MatMulNBitsQuantizer``: it takes the largest weight of a block for its scale, writes
float32 scales, leaves Gemm alone, and relabels the opset of the whole model without converting it.
"""

import numpy as np
from onnx import TensorProto

from coldpress.encodings import matmuls
from coldpress.encodings.clip import best_ranges, levels_of, snap_range
from coldpress.encodings.codebooks import scale_codes, scale_table
from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.encodings.gptq import round_for_inputs
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Body

__all__ = ["NBits"]

_ACCURACY = 4
"""``accuracy_level``: the left operand is rounded to int8, the sums are int32."""
_MIDDLE = 128
"""The zero point that the kernel takes for 8-bit codes when it is given none."""


class NBits:
    """Codes of ``bits`` bits, 8 (symmetric) or 4 (with zero points), and a scale for each ``block`` of a row.

    A weight takes bits + 8 / block bits, with zero points 4 / block more; rows are padded to whole blocks.
    """

    def __init__(self, bits: int, block: int) -> None:
        self.name = f"nbits{bits}-b{block}"
        self.family = "nbits8" if bits == 8 else "int4"
        self._bits = bits
        self._block = block

    def refusal(self, site: Site) -> str:
        """Say why not: it is no matrix that products alone read, or would not be smaller."""
        if refusal := matmuls.refusal(site):
            return refusal
        return "" if self.nbytes(site) < site.nbytes else "it would not be smaller"

    def nbytes(self, site: Site) -> int:
        """Return the bytes of codes, of a byte of scale a block, of zero points, and of the unit of the scales."""
        rows, blocks = self._layout(site)
        codes = rows * blocks * self._block * self._bits // 8
        zeros = rows * (-(-blocks // 2)) if self._bits == 4 else 0
        return codes + rows * blocks + zeros + 4

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:
        """Choose scales by the squared error of the weights, then codes: the nearest, or by GPTQ with a ``gram``."""
        rows = matmuls.rows_of(weight, site)
        groups = self._groups(rows)
        if self._bits == 8:
            sizes, unit = scale_codes(groups, levels_of(8))
            zeros = np.full(len(groups), _MIDDLE, np.uint8)
        else:
            scales, zeros = best_ranges(groups, self._bits)
            sizes, unit = _nearest_sizes(scales)
        scales = scale_table()[sizes] * unit
        codes = snap_range(groups, scales, zeros, self._bits)
        if gram is not None:
            groups = self._groups(self._rounded(rows, gram, scales, zeros))
            codes = snap_range(groups, scales, zeros, self._bits)
        parts = {"codes": self._pack(codes), "scales": sizes, "unit": np.array(unit, np.float32)}
        if self._bits == 4:
            parts["zeros"] = self._pack(zeros.reshape(self._layout(site)))
        return Encoded(parts)

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:
        """Return float32 of ``site.shape``."""
        rows, blocks = self._layout(site)
        codes = self._unpack(encoded.parts["codes"]).reshape(rows, blocks, self._block)
        zeros = self._unpack(encoded.parts["zeros"])[:, :blocks, None] if self._bits == 4 else _MIDDLE
        scales = (scale_table()[encoded.parts["scales"]] * encoded.parts["unit"]).reshape(rows, blocks, 1)
        values = (codes.astype(np.float32) - zeros) * scales
        return matmuls.from_rows(values.reshape(rows, -1)[:, : self._summed(site)], site)

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Put the parts in the weight's place, and MatMulNBits in its readers'."""
        rows, blocks = self._layout(site)
        decoder = Decoder(draft, site.name)
        codes, scales = decoder.fresh(), decoder.fresh()
        zeros = [decoder.constant(encoded.parts["zeros"])] if self._bits == 4 else []

        def multiply(_: Body, left: str, output: str) -> None:
            decoder.node(
                "MatMulNBits",
                left,
                codes,
                scales,
                *zeros,
                output=output,
                domain=matmuls.DOMAIN,
                K=self._summed(site),
                N=rows,
                bits=self._bits,
                block_size=self._block,
                accuracy_level=_ACCURACY,
            )

        matmuls.replace_products(draft, site, decoder, multiply)
        stored = decoder.constant(encoded.parts["codes"].reshape(-1))
        decoder.node("Reshape", stored, decoder.integers(rows, blocks, -1), output=codes)
        places = decoder.cast(decoder.constant(encoded.parts["scales"]), TensorProto.INT32)
        sizes = decoder.node("Gather", decoder.constant(scale_table()), places)
        decoder.node("Mul", sizes, decoder.constant(encoded.parts["unit"]), output=scales)
        decoder.place()

    def _rounded(self, rows: np.ndarray, gram: np.ndarray, scales: np.ndarray, zeros: np.ndarray) -> np.ndarray:
        """Return ``rows`` rounded by GPTQ to what codes with these scales, [blocks of all rows], can hold."""
        steps, offsets = (np.ascontiguousarray(part.reshape(len(rows), -1).T) for part in (scales, zeros))
        safe = np.where(steps == 0, np.float32(1), steps)
        low, high = -offsets.astype(np.float32), np.float32((1 << self._bits) - 1) - offsets

        def nearest(channel: int, wanted: np.ndarray) -> np.ndarray:
            place = channel // self._block
            value: np.ndarray = np.clip(np.rint(wanted / safe[place]), low[place], high[place]) * steps[place]
            return value

        return round_for_inputs(rows, gram, nearest)

    def _summed(self, site: Site) -> int:
        return site.shape[1 if site.axis == 0 else 0]

    def _layout(self, site: Site) -> tuple[int, int]:
        """Return the number of rows and of blocks in each."""
        return site.shape[0 if site.axis == 0 else 1], -(-self._summed(site) // self._block)

    def _groups(self, rows: np.ndarray) -> np.ndarray:
        """Return [N, K] as [blocks of all rows, weights in a block], with zeros where a row ends within a block."""
        missing = -rows.shape[1] % self._block
        return np.pad(rows, ((0, 0), (0, missing))).reshape(-1, self._block)

    def _pack(self, codes: np.ndarray) -> np.ndarray:
        """Put two codes of 4 bits in a byte, the first in the low half; an odd one at the end has it alone."""
        if self._bits == 8:
            return codes
        even = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2)))
        packed: np.ndarray = even[:, ::2] | even[:, 1::2] << 4
        return packed

    def _unpack(self, packed: np.ndarray) -> np.ndarray:
        if self._bits == 8:
            return packed
        return np.stack([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)


def _nearest_sizes(scales: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Return positive scales as bytes of ``scale_table``, uint8, each the nearest in proportion; and their unit."""
    unit = np.float32(scales.max(initial=0)) or np.float32(1)
    sizes = scale_table()[1:128]
    middles = np.sqrt(sizes[1:] * sizes[:-1])
    return np.searchsorted(-middles, -scales / unit).astype(np.uint8) + np.uint8(1), unit
