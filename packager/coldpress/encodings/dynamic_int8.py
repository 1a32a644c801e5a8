"""Products in int8, the left operand rounded as it comes: the fastest way, and the least faithful of those in 8 bits.

Written as ``DynamicQuantizeMatMul``, one node for each product, which is what ONNX Runtime makes of
DynamicQuantizeLinear, MatMulInteger, Cast and Mul when it finds them side by side. Written so, nothing depends on its
finding them, nor on the model's opset (DynamicQuantizeLinear came with 11). Products of the same input then round it
once each, which costs less than can be measured.

The left operand, uint8, has one scale and zero point for all of it, so an answer depends a little on what else is in
the batch. A weight has a scale for each output channel. Never for convolutions: ConvInteger is slower than float32.

CPUs without VNNI or its like multiply pairs of uint8 by int8 and add the two in int16, which saturates. A pair of
products is at most 255 * 127 * 2 = 64,770 with int8 weights, and 255 * 64 * 2 = 32,640 < 32,767 with the weights from
-64 to 64 that are used here: no sum saturates and answers do not depend on the CPU. (On an emulated Haswell, int8
weights at their extremes gave half the right answer, these the right one.) The bit costs a fifth of the error: 1 -
cosine .0081 instead of .0066 on a sentence encoder. Weights in uint8 cannot saturate either, but took 1.6 times as long
on a CPU with VNNI, where ONNX Runtime has no fast kernel for them.

Why not ``onnxruntime.quantization.quantize_dynamic``: its defaults are one scale a tensor, weights that saturate and
convolutions too; it writes files, not weights, so that one weight cannot be tried alone; it takes the largest weight
for the scale, and knows nothing of the inputs.
"""

import numpy as np

from coldpress.encodings import matmuls
from coldpress.encodings.clip import best_scales, snap
from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.encodings.gptq import round_for_inputs
from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import Body

__all__ = ["DynamicInt8"]

_LARGEST = 64
"""So that pairs of products fit int16."""


class DynamicInt8:
    """One byte a value and a float32 scale an output channel; the kernel multiplies uint8 by int8."""

    name = "dynamic-int8"
    family = "dynamic-int8"

    def refusal(self, site: Site) -> str:
        """Say why not: it is no matrix that products alone read, or would not be smaller."""
        if refusal := matmuls.refusal(site):
            return refusal
        return "" if self.nbytes(site) < site.nbytes else "it would not be smaller"

    def nbytes(self, site: Site) -> int:
        """Return one byte a value and four a channel."""
        return site.elements + 4 * self._channels(site)

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:
        """Choose scales by the squared error of the weights, then codes, [K, N]: the nearest, or by GPTQ."""
        rows = matmuls.rows_of(weight, site)
        levels = np.arange(-_LARGEST, _LARGEST + 1).astype(np.int8)
        scales = best_scales(rows, levels)
        if gram is not None:
            safe = np.where(scales == 0, np.float32(1), scales)

            def nearest(_: int, wanted: np.ndarray) -> np.ndarray:
                value: np.ndarray = np.clip(np.rint(wanted / safe), -_LARGEST, _LARGEST) * scales
                return value

            rows = round_for_inputs(rows, gram, nearest)
        return Encoded({"codes": np.ascontiguousarray(snap(rows, scales, levels).T), "scales": scales})

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:
        """Return float32 of ``site.shape``."""
        product: np.ndarray = encoded.parts["codes"].astype(np.float32) * encoded.parts["scales"]
        return matmuls.from_rows(product.T, site)

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Put the parts in the weight's place, and DynamicQuantizeMatMul in its readers'."""
        decoder = Decoder(draft, site.name)
        codes, scales = decoder.constant(encoded.parts["codes"]), decoder.constant(encoded.parts["scales"])

        def multiply(_: Body, left: str, output: str) -> None:
            decoder.node("DynamicQuantizeMatMul", left, codes, scales, output=output, domain=matmuls.DOMAIN)

        matmuls.replace_products(draft, site, decoder, multiply)
        decoder.place()

    def _channels(self, site: Site) -> int:
        return site.shape[0 if site.axis == 0 else 1]
