"""Weights made for the zip: coarser codes, and zeros, in bytes that deflate packs well.

A file is as large as with ``int8-storage``, and a request costs the same; only an archive is smaller. So these help
where a provider limits the zipped bytes, and nowhere else. Measured on two image models, bits a weight in the zip and
error of the weights: int6-storage 6.15 and 2.5 %, 64 levels 5.5 and 4.4 %, half zeros 5.3 and 24 %, int4-storage 4.1
and 8.3 %. Codes of 16 levels take what packed ones take, at twice the error.

Zeros without training again cost much, as the figures say. They are for networks that have weights to spare; one that
was trained to be sparse keeps its zeros, and their small archive, in ``int8-storage``.
"""

import zlib

from coldpress.encodings.encoding import Encoded
from coldpress.encodings.int_storage import Int8Storage

__all__ = ["TRANSPORT", "deflated_bytes"]

TRANSPORT = (
    Int8Storage("int8-storage-64-levels", "prune", bits=6),
    Int8Storage("int8-storage-half-zeros", "prune", zeros=0.5),
)
"""Encodings of the family ``prune``, whose size is to be measured by ``deflated_bytes``."""


def deflated_bytes(encoded: Encoded) -> int:
    """Return the bytes of the parts in a zip, deflated at the highest level, without headers."""
    return sum(len(zlib.compress(part.tobytes(), 9)) for part in encoded.parts.values())
