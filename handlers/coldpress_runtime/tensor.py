"""Tensors without numpy: an element type, a shape, and the bytes.

Names of element types are those of the Open Inference Protocol v2 where it has one (``FP32``, ``INT64``, ``BYTES``...),
else those of ONNX (``FLOAT8E4M3FN``, ``INT4``...). Bytes are little-endian and row-major, as ONNX Runtime keeps them.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np

__all__ = ["BY_ONNX", "DTYPES", "DType", "Tensor"]


class DType:
    """An element type; there is one object for each, in ``DTYPES`` and ``BY_ONNX``.

    Attributes:
        name: the protocol's name, such as ``FP32``.
        onnx: the number of the element type in ONNX Runtime's C API.
        itemsize: bytes an element; 0 for ``BYTES`` (they vary) and for 4-bit types (two elements share a byte).
        bits: bits an element; 0 for ``BYTES``.
        numpy: the numpy dtype that ``Tensor.numpy`` gives. Types that numpy lacks widen without loss.
        code: format character for ``array``, ``struct`` and ``memoryview``; "" if they have none.
    """

    __slots__ = ("bits", "code", "itemsize", "name", "numpy", "onnx")

    def __init__(self, name: str, onnx: int, bits: int, numpy: str, code: str) -> None:
        self.name = name
        self.onnx = onnx
        self.bits = bits
        self.itemsize = bits // 8
        self.numpy = numpy
        self.code = code

    def __repr__(self) -> str:
        return f"DType({self.name})"

    def nbytes(self, elements: int) -> int:
        """Return the bytes that ``elements`` elements take (not for ``BYTES``)."""
        return (elements * self.bits + 7) // 8


BY_ONNX = {
    dtype.onnx: dtype
    for dtype in (
        DType("FP32", 1, 32, "float32", "f"),
        DType("UINT8", 2, 8, "uint8", "B"),
        DType("INT8", 3, 8, "int8", "b"),
        DType("UINT16", 4, 16, "uint16", "H"),
        DType("INT16", 5, 16, "int16", "h"),
        DType("INT32", 6, 32, "int32", "i"),
        DType("INT64", 7, 64, "int64", "q"),
        DType("BYTES", 8, 0, "object", ""),
        DType("BOOL", 9, 8, "bool", "?"),
        DType("FP16", 10, 16, "float16", "e"),
        DType("FP64", 11, 64, "float64", "d"),
        DType("UINT32", 12, 32, "uint32", "I"),
        DType("UINT64", 13, 64, "uint64", "Q"),
        DType("COMPLEX64", 14, 64, "complex64", ""),
        DType("COMPLEX128", 15, 128, "complex128", ""),
        DType("BF16", 16, 16, "float32", ""),
        DType("FLOAT8E4M3FN", 17, 8, "float32", ""),
        DType("FLOAT8E4M3FNUZ", 18, 8, "float32", ""),
        DType("FLOAT8E5M2", 19, 8, "float32", ""),
        DType("FLOAT8E5M2FNUZ", 20, 8, "float32", ""),
        DType("UINT4", 21, 4, "uint8", ""),
        DType("INT4", 22, 4, "int8", ""),
    )
}
DTYPES = {dtype.name: dtype for dtype in BY_ONNX.values()}
_BYTES = DTYPES["BYTES"]
_FP32 = DTYPES["FP32"]
_BY_NUMPY = {dtype.numpy: dtype for dtype in DTYPES.values() if dtype.code or dtype.name.startswith("COMPLEX")}
_INF = float("inf")
_FEW = 4096  # so many arguments at most in one call


def _dtype(name: str) -> DType:
    try:
        return DTYPES[name]
    except KeyError:
        raise ValueError(f"found datatype {name!r}, expected one of {', '.join(DTYPES)}") from None


class Tensor:
    """An array of one element type.

    Args:
        dtype: a ``DType`` or its name.
        shape: sizes of the axes; ``()`` is a scalar.
        data: any C-contiguous buffer of exactly the right number of bytes, kept and not copied; for ``BYTES`` a list
            of ``str`` (encoded as UTF-8) or ``bytes``.

    Attributes:
        data: a ``memoryview`` of format ``B``; for ``BYTES`` a ``list[bytes]``.

    Raises:
        ValueError: the datatype is unknown, an axis is negative, or the data does not fill the shape exactly.
    """

    __slots__ = ("data", "dtype", "shape")

    data: Any

    def __init__(self, dtype: DType | str, shape: Sequence[int], data: Any) -> None:
        self.dtype = dtype = _dtype(dtype) if isinstance(dtype, str) else dtype
        self.shape = shape = tuple(shape)
        size = 1
        for axis in shape:
            if axis < 0:
                raise ValueError(f"found shape {list(shape)}, expected no negative axis")
            size *= axis
        if dtype is _BYTES:
            self.data = [_encode(item) for item in data]
            found, expected, unit = len(self.data), size, "elements"
        else:
            self.data = view = _flat_view(data)
            found, expected, unit = len(view), dtype.nbytes(size), "bytes"
        if found != expected:
            raise ValueError(
                f"found {found} {unit} of data, expected {expected} for {dtype.name} of shape {list(shape)}"
            )

    @classmethod
    def _of(cls, dtype: DType, shape: tuple[int, ...], data: Any) -> Tensor:
        """Make a tensor from parts that are known to fit."""
        self = cls.__new__(cls)
        self.dtype = dtype
        self.shape = shape
        self.data = data
        return self

    @classmethod
    def from_flat(cls, dtype: DType | str, shape: Sequence[int], values: Sequence[Any]) -> Tensor:
        """Make a tensor from a flat sequence of Python values, in row-major order.

        Raises:
            OverflowError: a number does not fit the datatype (a finite number that would become infinite included).
            ValueError: a value is not of the right kind, or there are too many or too few.
        """
        dtype = _dtype(dtype) if isinstance(dtype, str) else dtype
        code = dtype.code
        data: Any
        try:
            if dtype is _BYTES:
                data = values if isinstance(values, list) else list(values)
            elif code == "?":
                data = bytes(values)
                if data and max(data) > 1:
                    raise ValueError("found a number over 1, expected true or false for BOOL")
            elif code == "e" or (code == "f" and len(values) < _FEW):
                data = struct.pack(f"<{len(values)}{code}", *values)
            elif code:
                from array import array  # noqa: PLC0415  (it drags collections in, 2 ms that a start need not pay)

                data = array(code, values)
                # array turns 1e39 into infinity without a word.
                if dtype is _FP32 and (_INF in data or -_INF in data):
                    struct.pack(f"<{len(values)}f", *values)
            else:
                from coldpress_runtime.narrow import encode  # noqa: PLC0415  (rare types stay off the start-up path)

                data = encode(dtype.name, values)
        except (TypeError, struct.error) as error:
            raise ValueError(f"found a value that is no {dtype.name}: {error}") from None
        except OverflowError:
            raise OverflowError(f"found a number outside the range of {dtype.name}") from None
        tensor = cls(dtype, shape, data)
        if dtype.bits == 4 and tensor.size != len(values):  # an odd one out hides in half a byte
            raise ValueError(f"found {len(values)} elements of data, expected {tensor.size} for {tensor}")
        return tensor

    @classmethod
    def from_numpy(cls, values: np.ndarray[Any, Any], dtype: DType | str | None = None) -> Tensor:
        """Make a tensor from a numpy array, over the same memory where it is C-contiguous and native-endian.

        ``dtype`` names the element type where numpy's does not (``BF16``, ``INT4``...): the values are then converted.
        Arrays of ``str``, ``bytes`` and ``object`` become ``BYTES``.
        """
        import numpy as np

        shape = values.shape
        if values.dtype.kind in "OUST":
            return cls(_BYTES, shape, values.ravel().tolist())
        found = _BY_NUMPY.get(values.dtype.name)
        if dtype is not None:
            dtype = _dtype(dtype) if isinstance(dtype, str) else dtype
            if dtype is not found:
                return cls.from_flat(dtype, shape, values.ravel().tolist())
        if found is None:
            if values.dtype.name != "bfloat16":
                raise ValueError(f"found a numpy array of {values.dtype}, expected one of {', '.join(_BY_NUMPY)}")
            found = DTYPES["BF16"]
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
        return cls._of(found, shape, memoryview(values.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return a numpy array of ``dtype.numpy``, over the same memory unless the type widens; strings as ``str``."""
        import numpy as np

        dtype = self.dtype
        if dtype is _BYTES:
            strings = np.empty(len(self.data), object)
            strings[:] = self.flat()
            return strings.reshape(self.shape)
        if dtype.numpy in _BY_NUMPY and _BY_NUMPY[dtype.numpy] is dtype:
            return np.frombuffer(self.data, dtype.numpy).reshape(self.shape)
        return np.array(self.flat(), dtype.numpy).reshape(self.shape)

    @property
    def size(self) -> int:
        """How many elements there are."""
        size = 1
        for axis in self.shape:
            size *= axis
        return size

    @property
    def nbytes(self) -> int:
        """How many bytes the elements take."""
        if self.dtype is _BYTES:
            return sum(map(len, self.data))
        return len(self.data)

    def flat(self) -> list[Any]:
        """Return the elements in row-major order as ``int``, ``float``, ``bool``, ``complex`` or ``str``.

        Bytes that are not UTF-8 come as surrogates (the ``surrogateescape`` handler), so nothing is lost.
        """
        dtype = self.dtype
        if dtype is _BYTES:
            return [item.decode("utf-8", "surrogateescape") for item in self.data]
        code = dtype.code
        if code == "e":  # memoryview cannot read half precision before Python 3.12
            return list(struct.unpack(f"<{len(self.data) // 2}e", self.data))
        if code:
            return self.data.cast(code).tolist()  # type: ignore[no-any-return]
        from coldpress_runtime.narrow import decode  # noqa: PLC0415  (rare types stay off the start-up path)

        return decode(dtype.name, self.data, self.size)

    def tolist(self) -> Any:
        """Return the elements as nested lists; a scalar as itself."""
        level = self.flat()
        if not self.shape:
            return level[0]
        if not level:
            return _hollow(self.shape)
        for axis in reversed(self.shape[1:]):
            level = [level[start : start + axis] for start in range(0, len(level), axis)]
        return level

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tensor):
            return NotImplemented
        return self.dtype is other.dtype and self.shape == other.shape and bool(self.data == other.data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Tensor({self.dtype.name}, {list(self.shape)})"


def _encode(item: Any) -> bytes:
    if isinstance(item, bytes):
        return item
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    raise ValueError(f"found a {type(item).__name__} among BYTES, expected str or bytes")


def _flat_view(data: Any) -> memoryview:
    """View any contiguous buffer as bytes."""
    view = memoryview(data)
    if view.format == "B" and view.ndim == 1 and view.c_contiguous:
        return view
    if not view.c_contiguous:
        raise ValueError("found a buffer with gaps, expected a C-contiguous one")
    if view.nbytes == 0:  # cast refuses zeros in the shape
        return memoryview(b"")
    try:
        return view.cast("B")
    except (TypeError, ValueError):  # formats memoryview does not know: half precision before 3.12, complex
        return memoryview(view.tobytes())


def _hollow(shape: Sequence[int]) -> list[Any]:
    """Nested lists of a shape that has no elements."""
    return [_hollow(shape[1:]) for _ in range(shape[0])] if len(shape) > 1 else []
