"""What an encoding is, and what it is told of the weight it may be used on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from coldpress.shrink.draft import Draft

__all__ = ["Encoded", "Encoding", "Reader", "Role", "Site"]

Role = Literal["matmul", "gemm", "conv", "rows", "recurrent", "other"]
"""How a weight is used: right operand of MatMul, of Gemm, kernel of a Conv, table that Gather looks rows up in along
axis 0, weights of LSTM, GRU and RNN, anything else."""


@dataclass(frozen=True)
class Reader:
    """A node that reads a weight, by operator type and domain, and the position of the input it comes in by."""

    op_type: str
    domain: str
    input: int


@dataclass(frozen=True)
class Site:
    """A float32 initialiser of the main graph or of an inner one, whose encoding may be chosen.

    Attributes:
        name: Unique in the model, inner graphs included.
        shape: Of the weight.
        nbytes: Of its data as it is stored in the original.
        readers: Every node that reads it; a weight that is also a graph's output is no site.
        role: What all readers make of it; ``other`` when they differ.
        axis: The axis along which output channels lie, each with a scale of its own; None for one scale for all.
        largest: The largest magnitude among its values, which are all finite.
    """

    name: str
    shape: tuple[int, ...]
    nbytes: int
    readers: tuple[Reader, ...]
    role: Role
    axis: int | None
    largest: float = 1.0

    @property
    def elements(self) -> int:
        """The number of values."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Encoded:
    """A weight in an encoding: the arrays that are stored, by what they are (``codes``, ``scales``, ``zeros``)."""

    parts: Mapping[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays together."""
        return sum(part.nbytes for part in self.parts.values())


class Encoding(Protocol):
    """One way to store, or compute with, a weight.

    Attributes:
        name: Unique, such as ``int8-storage`` or ``nbits4-b32``.
        family: The word of ``[shrink] allow`` that lets it be used.
    """

    name: str
    family: str

    def refusal(self, site: Site) -> str:
        """Say why this encoding cannot be used on ``site``; nothing when it can."""
        ...

    def nbytes(self, site: Site) -> int:
        """Return the bytes of the arrays that ``encode`` would give, exactly, without encoding."""
        ...

    def encode(self, weight: np.ndarray, site: Site, gram: np.ndarray | None = None) -> Encoded:
        """Encode ``weight`` (float32, of ``site.shape``).

        ``gram`` is the sum of x xᵀ over calibration inputs x of the weight's rows (float64 [K, K], K the length of
        the dimension that is summed over), for encodings that round so as to keep answers rather than weights.
        """
        ...

    def decode(self, encoded: Encoded, site: Site) -> np.ndarray:
        """Return the float32 weight of ``site.shape`` that answers will be as if computed with."""
        ...

    def write(self, draft: Draft, site: Site, encoded: Encoded) -> None:
        """Take the weight out of ``draft`` and put the encoded one in its place, for every reader."""
        ...
