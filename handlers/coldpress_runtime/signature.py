"""What a session takes and gives, as ONNX Runtime tells it."""

from __future__ import annotations

import ctypes

from coldpress_runtime.tensor import BY_ONNX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.capi import Api
    from coldpress_runtime.tensor import DType

__all__ = ["ValueInfo", "read_metadata", "read_signature"]

_KINDS = {1: "tensor", 2: "sequence", 3: "map", 4: "opaque", 5: "sparse", 6: "optional"}  # enum ONNXType
_byref = ctypes.byref


class ValueInfo:
    """The type of one input or output.

    Attributes:
        name: as in the model; may hold anything.
        kind: ``tensor``, ``sequence``, ``map``, ``optional``, ``sparse`` or ``opaque``.
        dtype: element type of a tensor or sparse tensor, else None.
        shape: axes of a tensor: a size, a name for a symbolic axis, or None for one that is not known.
        item: what a sequence or an optional holds.
        key: datatype of a map's keys.
        value: datatype of a map's values, when they are tensors of one element.
    """

    __slots__ = ("dtype", "item", "key", "kind", "name", "shape", "value")

    def __init__(
        self,
        name: str,
        kind: str,
        dtype: DType | None = None,
        shape: tuple[int | str | None, ...] = (),
        item: ValueInfo | None = None,
        key: DType | None = None,
        value: DType | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.dtype = dtype
        self.shape = shape
        self.item = item
        self.key = key
        self.value = value

    def __repr__(self) -> str:
        return f"ValueInfo({self.name!r}, {self})"

    def __str__(self) -> str:
        """The type in words: ``FP32[1,N,?]``, ``sequence(map(INT64, FP32))``."""
        if self.kind in {"tensor", "sparse"}:
            axes = ",".join("?" if axis is None else str(axis) for axis in self.shape)
            return f"{'sparse ' if self.kind == 'sparse' else ''}{self.dtype.name if self.dtype else '?'}[{axes}]"
        if self.kind == "map":
            return f"map({self.key.name if self.key else '?'}, {self.value.name if self.value else '?'})"
        return f"{self.kind}({self.item})" if self.item else self.kind


def read_signature(api: Api, session: int, side: str) -> tuple[ValueInfo, ...]:
    """Return the inputs (``side`` is ``Input``) or outputs (``Output``) of a session, in the model's order."""
    count = ctypes.c_size_t()
    api.check(getattr(api, f"SessionGet{side}Count")(session, _byref(count)))
    name_of, type_of = getattr(api, f"SessionGet{side}Name"), getattr(api, f"SessionGet{side}TypeInfo")
    found = []
    for place in range(count.value):
        text, kind = ctypes.c_void_p(), ctypes.c_void_p()
        api.check(name_of(session, place, api.allocator, _byref(text)))
        name = _taken(api, text)
        api.check(type_of(session, place, _byref(kind)))
        try:
            found.append(_describe(api, kind, name))
        finally:
            api.ReleaseTypeInfo(kind)
    return tuple(found)


def read_metadata(api: Api, session: int) -> dict[str, str]:
    """Return the model's custom metadata."""
    metadata, keys, count = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int64()
    api.check(api.SessionGetModelMetadata(session, _byref(metadata)))
    try:
        api.check(api.ModelMetadataGetCustomMetadataMapKeys(metadata, api.allocator, _byref(keys), _byref(count)))
        found = {}
        for pointer in (ctypes.c_size_t * count.value).from_address(keys.value) if keys.value else ():
            key, text = ctypes.string_at(pointer), ctypes.c_void_p()
            api.check(api.AllocatorFree(api.allocator, pointer))
            api.check(api.ModelMetadataLookupCustomMetadataMap(metadata, api.allocator, key, _byref(text)))
            found[key.decode("utf-8", "replace")] = _taken(api, text)
        if keys.value:
            api.check(api.AllocatorFree(api.allocator, keys))
        return found
    finally:
        api.ReleaseModelMetadata(metadata)


def _taken(api: Api, text: Any) -> str:
    """The text at a pointer that the allocator gave us, which is freed."""
    if not text.value:
        return ""
    found = ctypes.string_at(text.value).decode("utf-8", "replace")
    api.check(api.AllocatorFree(api.allocator, text))
    return found


def _describe(api: Api, info: Any, name: str) -> ValueInfo:
    number = ctypes.c_int()
    api.check(api.GetOnnxTypeFromTypeInfo(info, _byref(number)))
    kind = _KINDS.get(number.value, "opaque")
    if kind in {"tensor", "sparse"}:
        return ValueInfo(name, kind, *_tensor(api, info))
    if kind == "sequence":
        return ValueInfo(name, kind, item=_inner(api, info, name, "Sequence", api.GetSequenceElementType))
    if kind == "optional":
        return ValueInfo(name, kind, item=_inner(api, info, name, "Optional", api.GetOptionalContainedTypeInfo))
    if kind == "map":
        part = ctypes.c_void_p()
        api.check(api.CastTypeInfoToMapTypeInfo(info, _byref(part)))
        api.check(api.GetMapKeyType(part, _byref(number)))
        value = _inner(api, info, name, "Map", api.GetMapValueType)
        return ValueInfo(name, kind, key=BY_ONNX.get(number.value), value=value.dtype)
    return ValueInfo(name, kind)


def _inner(api: Api, info: Any, name: str, outer: str, getter: Any) -> ValueInfo:
    """What a sequence, an optional or a map holds."""
    part, held = ctypes.c_void_p(), ctypes.c_void_p()
    api.check(getattr(api, f"CastTypeInfoTo{outer}TypeInfo")(info, _byref(part)))
    api.check(getter(part, _byref(held)))
    try:
        return _describe(api, held, name)
    finally:
        api.ReleaseTypeInfo(held)


def _tensor(api: Api, info: Any) -> tuple[DType | None, tuple[int | str | None, ...]]:
    part, element, rank = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_size_t()
    api.check(api.CastTypeInfoToTensorInfo(info, _byref(part)))
    if not part.value:  # an optional of a tensor is told as the optional alone
        return None, ()
    api.check(api.GetTensorElementType(part, _byref(element)))
    api.check(api.GetDimensionsCount(part, _byref(rank)))
    sizes, names = (ctypes.c_int64 * rank.value)(), (ctypes.c_char_p * rank.value)()
    api.check(api.GetDimensions(part, sizes, rank.value))
    api.check(api.GetSymbolicDimensions(part, names, rank.value))
    shape = tuple(
        size if size >= 0 else (label.decode("utf-8", "replace") if label else None)
        for size, label in zip(sizes, names, strict=True)
    )
    return BY_ONNX.get(element.value), shape
