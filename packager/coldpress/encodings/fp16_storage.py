"""Half precision on disk: a weight stored as float16, which a Cast makes float32 again.

ONNX Runtime computes the Cast while it opens the model, so a request costs what it cost. Each weight keeps 11
significant bits, unless its magnitude is below 6.1e-5, where float16 has fewer.
"""

import numpy as np
from onnx import TensorProto

from coldpress.encodings.decoder import Decoder
from coldpress.encodings.encoding import Encoded, Site
from coldpress.shrink.draft import Draft

__all__ = ["Fp16Storage"]

_HALF = np.finfo(np.float16)


class Fp16Storage:
    """``Cast(float16)``: half the bytes, for any reader."""

    name = "fp16-storage"
    family = "fp16-storage"

    def refusal(self, site: Site) -> str:
        """Say why not: values beyond float16, or all below where it keeps its precision."""
        if site.largest > float(_HALF.max):
            return f"its largest value, {site.largest:.3g}, is beyond float16's 65,504"
        if site.largest < float(_HALF.tiny):
            return f"its largest value, {site.largest:.3g}, is below float16's full precision, 6.1e-05"
        if any(reader.op_type == "Cast" for reader in site.readers):
            return "a Cast reads it, and ONNX Runtime loses a Cast of a Cast that a branch reads"
        return ""

    def nbytes(self, site: Site) -> int:
        """Return two bytes a value."""
        return 2 * site.elements

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:  # noqa: ARG002  (the interface)
        """Round to float16."""
        return Encoded({"codes": weight.astype(np.float16)})

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:  # noqa: ARG002  (the interface)
        """Return float32 of ``site.shape``."""
        return encoded.parts["codes"].astype(np.float32)

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Put the codes and a Cast in the weight's place."""
        decoder = Decoder(draft, site.name)
        decoder.node("Cast", decoder.constant(encoded.parts["codes"]), output=site.name, to=TensorProto.FLOAT)
        decoder.place()
