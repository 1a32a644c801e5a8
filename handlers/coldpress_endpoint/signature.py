"""What a model takes and gives, in the words of ONNX Runtime's binding: ``seq(tensor(float))``."""

from __future__ import annotations

from typing import Any, NamedTuple

from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES, DType

__all__ = ["Signature", "read_signature"]

_TYPES = {
    "float": "FP32",
    "double": "FP64",
    "float16": "FP16",
    "bfloat16": "BF16",
    "string": "BYTES",
    "bool": "BOOL",
} | {f"{sign}int{bits}": f"{sign}int{bits}".upper() for sign in ("", "u") for bits in (4, 8, 16, 32, 64)}


class Signature(NamedTuple):
    """One input or output.

    Attributes:
        name: as in the model.
        datatype: of the Open Inference Protocol; ``BYTES`` for sequences and maps, which travel as JSON texts.
        shape: sizes of the axes, -1 where any will do.
        info: the same with all that is known, as coldpress_runtime's readers take it.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    info: ValueInfo


def read_signature(arguments: list[Any]) -> list[Signature]:
    """Read ``session.get_inputs()`` or ``get_outputs()``, in the model's order."""
    found = []
    for argument in arguments:
        info = _read(argument.type, argument.name, argument.shape)
        if info.kind == "tensor" and info.dtype is not None:
            shape = tuple(axis if isinstance(axis, int) else -1 for axis in info.shape)
            found.append(Signature(info.name, info.dtype.name, shape, info))
        else:
            found.append(Signature(info.name, "BYTES", (-1,), info))
    return found


def _read(text: str, name: str, shape: list[Any]) -> ValueInfo:
    kind, _, rest = text.partition("(")
    inner = rest.removesuffix(")")
    if kind in {"tensor", "sparse_tensor"}:
        axes = tuple(axis if isinstance(axis, int) and axis >= 0 else _label(axis) for axis in shape)
        return ValueInfo(name, "tensor" if kind == "tensor" else "sparse", _dtype(inner), axes)
    if kind == "seq":
        return ValueInfo(name, "sequence", item=_read(inner, name, []))
    if kind == "optional":
        return ValueInfo(name, "optional", item=_read(inner, name, shape))
    if kind == "map":
        key, _, value = inner.partition(",")
        return ValueInfo(name, "map", key=_dtype(key), value=_read(value.strip(), name, []).dtype)
    return ValueInfo(name, "opaque")


def _label(axis: Any) -> str | None:
    return axis if isinstance(axis, str) and axis else None


def _dtype(word: str) -> DType | None:
    return DTYPES.get(_TYPES.get(word, word.upper()))
