"""Arrays that hold many requests, cut into single ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import cast, composite, tensor
from coldpress.signature import Port, Signature

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

__all__ = ["check_shape", "single", "split", "symbol"]


def symbol(port: Port, axis: int) -> str | None:
    """Return the symbol that stands for one dimension of an input, if one does."""
    dim = port.shape[axis] if port.shape else None
    return dim if isinstance(dim, str) else None


def _fits(array: "Array", port: Port) -> bool:
    if port.shape is None:
        return True
    if array.ndim != len(port.shape):
        return False
    return all(not isinstance(d, int) or d == n for d, n in zip(port.shape, array.shape, strict=True))


def check_shape(array: "Array", port: Port, where: str) -> None:
    """Raise ``SamplesError`` when an array's rank or fixed dimensions are not the input's."""
    if not _fits(array, port):
        raise SamplesError(f"{where}: input {port.name!r} has shape {list(array.shape)}; expected {port.expected}")


def single(value: Any, port: Port, where: str) -> Any:
    """Return one request's value of an input, from nested lists or an array, with or without its batch dimension.

    Raises:
        SamplesError: It is not of the input's kind, element type or shape; ``where`` begins the message.
    """
    import numpy as np

    if port.kind != "tensor":
        return composite(value, port, where)
    plain = isinstance(value, np.ndarray) and value.dtype != object
    array = cast(value, port, where) if plain else tensor(getattr(value, "tolist", lambda: value)(), port, where)
    if port.shape and array.ndim == len(port.shape) - 1 and port.shape[0] in {1, None, symbol(port, 0)}:
        array = array[np.newaxis]
    check_shape(array, port, where)
    return array


def split(arrays: "Mapping[str, Array]", signature: Signature, where: str) -> tuple[dict[str, Any], ...]:
    """Cut arrays that hold many requests into single ones; ``where`` begins the message of a ``SamplesError``."""
    shared = {symbol(port, 0) for port in signature.inputs} - {None}
    cuts = {port.name: _cut(arrays[port.name], port, shared) for port in signature.inputs}
    counts = {name: cut.count for name, cut in cuts.items() if cut.count != 1}
    for port in signature.inputs:
        cut, array = cuts[port.name], arrays[port.name]
        unknown = [axis for axis, dim in enumerate(port.shape or ()) if dim is None]
        # A state [2, ?, 128] beside an input [?, 512]: the batch is the one unknown axis of the same length.
        if cut.axis is None and len(unknown) == 1 and set(counts.values()) == {array.shape[unknown[0]]}:
            cuts[port.name] = _Cut(unknown[0], array.shape[unknown[0]], 1)
    loose = any(
        cuts[port.name].axis is None
        and any(not isinstance(d, int) and n != 1 for d, n in zip(port.shape, arrays[port.name].shape, strict=True))
        for port in signature.inputs
        if port.shape and arrays[port.name].ndim == len(port.shape)
    )
    fits = all(_fits(arrays[port.name], port) for port in signature.inputs)
    if 0 in counts.values():
        name = next(name for name, count in counts.items() if count == 0)
        raise SamplesError(f"{where}: input {name!r} has shape {list(arrays[name].shape)}, so no sample; give some")
    if fits and (loose or len(set(counts.values())) > 1):
        return (dict(arrays),)  # a graph's nodes and edges, say: the arrays are one request between them
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise SamplesError(f"{where}: the inputs hold different numbers of samples ({text}); give as many of each")
    total = next(iter(counts.values()), 1)
    requests = tuple(
        {port.name: cuts[port.name].piece(arrays[port.name], i) for port in signature.inputs} for i in range(total)
    )
    for port in signature.inputs:
        check_shape(requests[0][port.name], port, where)
    return requests


@dataclass(frozen=True)
class _Cut:
    """One array's cut: along ``axis`` (None: none) into ``count`` pieces of ``width``; ``stacked``: the axis goes."""

    axis: int | None = None
    count: int = 1
    width: int = 1
    stacked: bool = False

    def piece(self, array: "Array", index: int) -> "Array":
        import numpy as np

        if self.axis is None or (self.count == 1 and not self.stacked):
            return array
        if self.stacked:
            return np.asarray(array[index])
        start = index * self.width
        return np.ascontiguousarray(array[(slice(None),) * self.axis + (slice(start, start + self.width),)])


def _cut(array: "Array", port: Port, shared: set[str | None]) -> _Cut:
    shape = port.shape
    if shape is None:
        return _Cut(0, len(array)) if array.ndim else _Cut()
    if array.ndim == len(shape) + 1:
        return _Cut(0, len(array), stacked=True)
    if array.ndim != len(shape) or not shape:
        return _Cut()
    first = shape[0]
    if not isinstance(first, int) or (first == 1 and len(array) != 1):
        return _Cut(0, len(array))
    if first > 1 and len(array) != first and len(array) % first == 0:
        return _Cut(0, len(array) // first, first)
    for axis, dim in enumerate(shape):
        if isinstance(dim, str) and dim in shared:
            return _Cut(axis, array.shape[axis])
    return _Cut()
