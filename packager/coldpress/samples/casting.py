"""A user's values in the element types that a model takes: arrays, and what JSON says of sequences, maps, optionals."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coldpress.errors import SamplesError
from coldpress.signature import DATATYPES, Port

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["cast", "composite", "numpy_dtype", "tensor"]


def composite(value: Any, port: Port, where: str) -> Any:
    """Return the value of JSON for an input that is no tensor: lists of arrays, dicts, None for an empty optional.

    Raises:
        SamplesError: The value is of another kind than the input.
    """
    kind, _, inner = port.type.partition("(")
    inner = inner[:-1]
    match kind:
        case "optional":
            return None if value is None else composite(value, replace(port, type=inner), where)
        case "seq" if isinstance(value, list):
            return [composite(item, replace(port, type=inner), where) for item in value]
        case "map" if isinstance(value, dict):
            return _mapping(value, inner.partition(",")[0], port, where)
        case "tensor":
            datatype, numpy = DATATYPES.get(inner, (inner.upper(), ""))
            return tensor(value, replace(port, kind="tensor", datatype=datatype, numpy=numpy, shape=None), where)
    raise SamplesError(f"{where}: input {port.name!r} holds a {type(value).__name__} where {port.type} is expected")


def _mapping(value: dict[str, Any], key: str, port: Port, where: str) -> dict[Any, Any]:
    if key == "string":
        return value
    try:
        return {int(name): item for name, item in value.items()}
    except ValueError as error:
        raise SamplesError(f"{where}: input {port.name!r} has keys that are no whole numbers ({error})") from error


def tensor(value: Any, port: Port, where: str) -> "Array":
    """Return the nested list of JSON for a tensor, in the input's element type and of any shape.

    Raises:
        SamplesError: It is ragged or no list, or its values are of another kind.
    """
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype == object:
        raise SamplesError(f"{where}: input {port.name!r} is ragged or not a list; expected {port.expected}")
    return cast(array, port, where)


def cast(array: "Array", port: Port, where: str) -> "Array":
    """Return ``array`` in the input's element type, where that loses no more than a float's rounding.

    Raises:
        SamplesError: It is of another kind, or holds values that the element type does not.
    """
    import numpy as np

    wrong = SamplesError(f"{where}: input {port.name!r} came as {array.dtype}; expected {port.expected}")
    if port.kind != "tensor":
        raise SamplesError(f"{where}: input {port.name!r} is {port.type}; give such samples as .jsonl")
    if port.datatype == "BYTES":
        if array.dtype.kind not in "US":
            raise wrong
        return np.asarray(array.astype(str).astype(object))
    dtype = numpy_dtype(port)
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu":
        if array.dtype.kind not in "iu":
            raise wrong
        info = np.iinfo(dtype)
        if array.size and not (info.min <= int(array.min()) and int(array.max()) <= info.max):
            raise SamplesError(
                f"{where}: input {port.name!r} holds {int(array.min())} to {int(array.max())}; "
                f"{port.datatype} holds {info.min} to {info.max}"
            )
        return array.astype(dtype)
    if dtype.kind == "b" or array.dtype.kind not in "fiuV":
        raise wrong
    with np.errstate(over="ignore"):
        result = array.astype(dtype)
    if not np.isfinite(result.astype(np.float64)).all() and np.isfinite(array.astype(np.float64)).all():
        raise SamplesError(f"{where}: input {port.name!r} holds values too large for {port.datatype}; scale them")
    return result


def numpy_dtype(port: Port) -> Any:
    """Return the numpy dtype of a tensor input; of ``ml_dtypes`` where numpy has none."""
    import numpy as np

    if port.numpy in np.sctypeDict:
        return np.dtype(port.numpy)
    import ml_dtypes  # noqa: PLC0415  (heavy; comes with onnx)

    return np.dtype(getattr(ml_dtypes, port.numpy))
