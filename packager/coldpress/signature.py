"""What a model takes and gives, as the packager sees it: names, element types and shapes."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DATATYPES", "Port", "Signature", "signature_of"]

# The binding's element type: its Open Inference Protocol v2 name and its numpy name. FLOAT8* and COMPLEX*
# are not in the protocol's table; they keep ONNX's own names.
DATATYPES = {
    "float": ("FP32", "float32"),
    "double": ("FP64", "float64"),
    "float16": ("FP16", "float16"),
    "bfloat16": ("BF16", "bfloat16"),
    "int8": ("INT8", "int8"),
    "int16": ("INT16", "int16"),
    "int32": ("INT32", "int32"),
    "int64": ("INT64", "int64"),
    "uint8": ("UINT8", "uint8"),
    "uint16": ("UINT16", "uint16"),
    "uint32": ("UINT32", "uint32"),
    "uint64": ("UINT64", "uint64"),
    "bool": ("BOOL", "bool"),
    "string": ("BYTES", "object"),
    "complex64": ("COMPLEX64", "complex64"),
    "complex128": ("COMPLEX128", "complex128"),
    "float8e4m3fn": ("FLOAT8E4M3FN", "float8_e4m3fn"),
    "float8e4m3fnuz": ("FLOAT8E4M3FNUZ", "float8_e4m3fnuz"),
    "float8e5m2": ("FLOAT8E5M2", "float8_e5m2"),
    "float8e5m2fnuz": ("FLOAT8E5M2FNUZ", "float8_e5m2fnuz"),
}

Dim = int | str | None


@dataclass(frozen=True)
class Port:
    """One input or output.

    ``type`` is the binding's own text (``tensor(float)``, ``seq(map(int64,tensor(float)))``). ``kind`` is
    ``tensor``, ``seq``, ``map``, ``optional`` or ``sparse_tensor``. ``datatype`` and ``numpy`` are empty
    unless ``kind`` is ``tensor``. ``shape`` is None when the model does not even state the rank; a
    dimension is an int, a symbol, or None.
    """

    name: str
    type: str
    kind: str
    datatype: str
    numpy: str
    shape: tuple[Dim, ...] | None

    @property
    def expected(self) -> str:
        """What a sample must look like, for an error message: ``FP32 [N, 64]``."""
        if self.kind != "tensor":
            return self.type
        if self.shape is None:
            return f"{self.datatype} of any shape"
        return f"{self.datatype} [{', '.join('?' if d is None else str(d) for d in self.shape)}]"


@dataclass(frozen=True)
class Signature:
    """A model's inputs (initialisers that may be overridden left out) and outputs, in its own order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def signature_of(session: Any, model: Path) -> Signature:
    """Read the signature from an open ``onnxruntime.InferenceSession`` of ``model``.

    The binding gives ``[]`` both for a scalar and for an unknown rank; the file itself tells the two apart.
    """
    ranked = _ranked(model) if any(not port.shape for port in session.get_inputs()) else None
    return Signature(
        tuple(_port(port, ranked) for port in session.get_inputs()),
        tuple(_port(port, None) for port in session.get_outputs()),
    )


def _port(port: Any, ranked: frozenset[str] | None) -> Port:
    kind, _, inner = port.type.partition("(")
    datatype, numpy = DATATYPES.get(inner[:-1], (inner[:-1].upper(), "")) if kind == "tensor" else ("", "")
    dims: tuple[Dim, ...] | None = tuple(_dim(d) for d in port.shape)
    if kind != "tensor" or (ranked is not None and port.name not in ranked):
        dims = None
    return Port(port.name, port.type, kind, datatype, numpy, dims)


def _dim(dim: Any) -> Dim:
    if isinstance(dim, int):
        return dim if dim >= 0 else None
    return dim if dim and dim != "?" else None


def _ranked(model: Path) -> frozenset[str] | None:
    """Return the names of the inputs whose rank the file states; None for a file that is not ONNX."""
    import onnx

    with contextlib.suppress(Exception):
        graph = onnx.load(model, load_external_data=False).graph
        return frozenset(i.name for i in graph.input if i.type.tensor_type.HasField("shape"))
    return None
