"""Python values to ONNX Runtime's values and back: tensors, sequences, maps, empty optionals."""

from __future__ import annotations

import ctypes

from coldpress_runtime.capi import address_of
from coldpress_runtime.errors import RunError
from coldpress_runtime.tensor import BY_ONNX, DTYPES, Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.capi import Api
    from coldpress_runtime.signature import ValueInfo
    from coldpress_runtime.tensor import DType

__all__ = ["read", "write"]

_TENSOR, _SEQUENCE, _MAP, _SPARSE, _OPTIONAL = 1, 2, 3, 5, 6  # enum ONNXType
_BYTES = DTYPES["BYTES"]
_Pointer = ctypes.c_void_p
_byref = ctypes.byref
_BORROW = 1 << 16  # bytes: from here on, keeping ONNX Runtime's memory is cheaper than copying it
_from_memory = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)(
    ("PyMemoryView_FromMemory", ctypes.pythonapi)
)
_READ = 0x100  # PyBUF_READ
_shapes: dict[tuple[int, ...], Any] = {}


def _dims(shape: tuple[int, ...]) -> Any:
    """A shape as int64_t[], remembered: real callers send few shapes."""
    dims = _shapes.get(shape)
    if dims is None:
        if len(_shapes) > 1000:
            _shapes.clear()
        dims = _shapes[shape] = (ctypes.c_int64 * len(shape))(*shape)
    return dims


def write(api: Api, value: Any, info: ValueInfo | None, made: list[int], kept: list[Any]) -> int:
    """Make ONNX Runtime's value for the Python ``value`` of the input ``info``; return its address.

    Every value made goes on ``made``, to be released after the run; what must live until then goes on ``kept``.

    Raises:
        RunError: the value is not of the kind that the input takes.
    """
    if type(value) is Tensor:
        return _write_tensor(api, value, made, kept)
    if info is None:
        raise RunError(f"Found a {type(value).__name__} for an input that this model does not have, expected a Tensor.")
    while info.kind == "optional" and info.item is not None:
        info = info.item
    if info.kind == "sequence" and isinstance(value, (list, tuple)) and info.item is not None:
        return _write_sequence(api, value, info, made, kept)
    if info.kind == "map" and isinstance(value, dict) and info.key is not None and info.value is not None:
        try:
            keys = Tensor.from_flat(info.key, (len(value),), list(value))
            values = Tensor.from_flat(info.value, (len(value),), list(value.values()))
        except (ValueError, OverflowError) as error:
            raise RunError(f"Input '{info.name}' is no {info}: {error}.") from None
        parts = (_Pointer * 2)(_write_tensor(api, keys, made, kept), _write_tensor(api, values, made, kept))
        return _compose(api, parts, 2, _MAP, info, made)
    raise RunError(f"Input '{info.name}' is a {type(value).__name__}, expected {info}.")


def _write_tensor(api: Api, tensor: Tensor, made: list[int], kept: list[Any]) -> int:
    data, dtype, shape = tensor.data, tensor.dtype, tensor.shape
    out = _Pointer()
    if dtype is _BYTES:
        status = api.CreateTensorAsOrtValue(api.allocator, _dims(shape), len(shape), 8, _byref(out))
    else:
        whole = data.obj
        if type(whole) is bytes and len(whole) == len(data):
            address: Any = whole  # ctypes itself passes where bytes are, which is aligned: a µs sooner
        else:
            address = address_of(data)
        if address is not whole and dtype.itemsize > 1 and address % min(dtype.itemsize, 8):
            # kernels count on natural alignment
            data = ctypes.create_string_buffer(data.tobytes(), len(data))
            address = ctypes.addressof(data)
            kept.append(data)
        status = api.CreateTensorWithDataAsOrtValue(
            api.memory, address, len(data), _dims(shape), len(shape), dtype.onnx, _byref(out)
        )
    if status:
        raise RunError(f"{dtype.name} of shape {list(shape)} makes no tensor: {api.message(status)}")
    value = out.value or 0
    made.append(value)
    if dtype is _BYTES and data:
        _fill_strings(api, value, data)
    return value


def _fill_strings(api: Api, value: int, strings: list[bytes]) -> None:
    for place, string in enumerate(strings):  # by length, not by NUL: strings may hold NULs
        buffer = _Pointer()
        status = api.GetResizedStringTensorElementBuffer(value, place, len(string), _byref(buffer))
        if status:
            raise RunError(f"ONNX Runtime took no string: {api.message(status)}")
        if string:
            ctypes.memmove(buffer, string, len(string))


def _write_sequence(api: Api, items: Any, info: ValueInfo, made: list[int], kept: list[Any]) -> int:
    if not items:
        if info.item is None or info.item.kind != "tensor" or info.item.dtype is None:
            raise RunError(f"Input '{info.name}' is an empty {info}, which ONNX Runtime cannot be given; send an item.")
        from coldpress_runtime.empty_sequence import empty_sequence  # noqa: PLC0415  (rare)

        made.append(empty_sequence(api, info.item.dtype))
        return made[-1]
    parts = (_Pointer * len(items))(*[write(api, item, info.item, made, kept) for item in items])
    return _compose(api, parts, len(items), _SEQUENCE, info, made)


def _compose(api: Api, parts: Any, count: int, kind: int, info: ValueInfo, made: list[int]) -> int:
    out = _Pointer()
    status = api.CreateValue(parts, count, kind, _byref(out))
    if status:
        raise RunError(f"Input '{info.name}' makes no {info.kind}: {api.message(status)}")
    value = out.value or 0
    made.append(value)
    return value


class _Borrowed:
    """Keeps one of ONNX Runtime's values until nobody looks at its memory any more."""

    __slots__ = ("release", "value")

    def __init__(self, release: Any, value: int) -> None:
        self.release = release
        self.value = value

    def __del__(self) -> None:
        self.release(self.value)


def read(api: Api, value: int) -> Any:
    """Return the Python value of one of ONNX Runtime's, and take care of releasing it.

    A tensor's data is a copy when small, else a view of ONNX Runtime's memory that lives as long as the view.
    """
    borrowed = False
    element, dims, rank = ctypes.c_int(), _Pointer(), ctypes.c_size_t()
    try:
        status = api.GetTensorElementTypeAndShapeDataReference(value, _byref(element), _byref(dims), _byref(rank))
        if not status:
            shape = tuple((ctypes.c_int64 * rank.value).from_address(dims.value or 0)) if rank.value else ()
            dtype = BY_ONNX.get(element.value)
            if dtype is None:
                raise RunError(
                    f"An output has ONNX Runtime's element type {element.value}, which coldpress does not know."
                )
            tensor, borrowed = _read_tensor(api, value, dtype, shape)
            return tensor
        api.ReleaseStatus(status)  # no tensor, or none there
        kind, there = ctypes.c_int(), ctypes.c_int()
        api.check(api.HasValue(value, _byref(there)))
        if not there.value:  # an empty optional has no type either: GetValueType would crash on it
            return None
        api.check(api.GetValueType(value, _byref(kind)))
        if kind.value == _SEQUENCE:
            return [_item(api, value, place) for place in range(_count(api, value))]
        if kind.value == _MAP:
            return dict(zip(_item(api, value, 0).flat(), _item(api, value, 1).flat(), strict=True))
        raise RunError(
            f"An output is {'a sparse tensor' if kind.value == _SPARSE else 'of an opaque type'}, which no answer can "
            "carry; make the model return a dense tensor."
        )
    finally:
        if not borrowed:
            api.ReleaseValue(value)


def _count(api: Api, value: int) -> int:
    count = ctypes.c_size_t()
    api.check(api.GetValueCount(value, _byref(count)))
    return count.value


def _item(api: Api, value: int, place: int) -> Any:
    out = _Pointer()
    api.check(api.GetValue(value, place, api.allocator, _byref(out)))
    return read(api, out.value or 0)


def _read_tensor(api: Api, value: int, dtype: DType, shape: tuple[int, ...]) -> tuple[Tensor, bool]:
    """Return the tensor, and whether it now owns ``value``."""
    size = 1
    for axis in shape:
        size *= axis
    if dtype is _BYTES:
        return Tensor._of(dtype, shape, _read_strings(api, value, size)), False  # noqa: SLF001
    nbytes = dtype.nbytes(size)
    if not nbytes:
        return Tensor._of(dtype, shape, memoryview(bytearray())), False  # noqa: SLF001
    data = _Pointer()
    api.check(api.GetTensorMutableData(value, _byref(data)))
    if nbytes < _BORROW:
        copied = memoryview(bytearray(_from_memory(data, nbytes, _READ)))
        return Tensor._of(dtype, shape, copied), False  # noqa: SLF001
    memory = (ctypes.c_char * nbytes).from_address(data.value or 0)
    memory.owner = _Borrowed(api.ReleaseValue, value)  # type: ignore[attr-defined]
    return Tensor._of(dtype, shape, memoryview(memory).cast("B")), True  # noqa: SLF001


def _read_strings(api: Api, value: int, size: int) -> list[bytes]:
    if not size:
        return []
    total = ctypes.c_size_t()
    api.check(api.GetStringTensorDataLength(value, _byref(total)))
    text = ctypes.create_string_buffer(total.value + 1)
    starts = (ctypes.c_size_t * size)()
    api.check(api.GetStringTensorContent(value, text, total.value, starts, size))
    whole = text.raw
    ends = [*starts[1:], total.value]
    return [whole[start:end] for start, end in zip(starts, ends, strict=True)]
