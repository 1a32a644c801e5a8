"""How sure an answer is, row by row, and rows picked out of a request and put back into its answer."""

from __future__ import annotations

from math import isfinite

from coldpress_runtime.errors import DoorAnswerError
from coldpress_runtime.tensor import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from coldpress_runtime.signature import ValueInfo

__all__ = ["can_be_split", "confidences", "count_rows", "doubtful", "pick", "probabilities_in", "put_back"]

_FLOATS = {"FP16", "BF16", "FP32", "FP64"}
_TABLE = 2  # axes: rows and classes
_NIBBLE = 4


def probabilities_in(outputs: Sequence[ValueInfo]) -> list[str]:
    """The outputs that can hold a probability for each row and class."""
    return [info.name for info in outputs if info.dtype and info.dtype.name in _FLOATS and len(info.shape) == _TABLE]


def confidences(probabilities: Tensor) -> list[float]:
    """How sure each row is: its largest probability; with one column that of yes or of no, whichever is larger.

    A row in which a probability is infinite or not a number is not sure at all: 0.
    """
    count, width = probabilities.shape
    numbers = probabilities.flat()
    if width == 1:
        return [max(number, 1 - number) if isfinite(number) else 0.0 for number in numbers]
    rows = [numbers[row * width : (row + 1) * width] for row in range(count)]
    return [max(row, default=0.0) if isfinite(sum(row)) else 0.0 for row in rows]


def doubtful(probabilities: Tensor, below: float) -> list[int]:
    """The rows that are less sure than ``below``."""
    return [row for row, sure in enumerate(confidences(probabilities)) if sure < below]


def count_rows(inputs: Mapping[str, Any], infos: Mapping[str, ValueInfo]) -> int | None:
    """How many rows a request has: the size of the open first axis that its inputs share; None where they do not.

    An input whose first axis is fixed belongs to all rows.
    """
    found = set()
    for name, value in inputs.items():
        info = infos[name]
        if info.kind != "tensor" or not isinstance(value, Tensor):
            return None
        if _has_rows(info):
            found.add((info.shape[0], value.shape[0]))
    return found.pop()[1] if len(found) == 1 else None


def can_be_split(values: Mapping[str, Any], infos: Mapping[str, ValueInfo], rows: int) -> bool:
    """Whether each of these outputs has a row for each of the request's."""
    return all(_is_by_row(value, infos[name], rows) for name, value in values.items())


def pick(inputs: Mapping[str, Any], infos: Mapping[str, ValueInfo], rows: Sequence[int]) -> dict[str, Any]:
    """The inputs of some rows of a request."""
    return {
        name: _with_rows(value, len(rows), lambda items, width: _taken(items, width, rows))
        if _has_rows(infos[name])
        else value
        for name, value in inputs.items()
    }


def put_back(values: dict[str, Any], rows: Sequence[int], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Outputs with some rows replaced by ``theirs``, which has these rows alone, in their order.

    Raises DoorAnswerError when ``theirs`` has other rows than these.
    """
    return {name: _replaced(value, rows, theirs[name]) for name, value in values.items()}


def _has_rows(info: ValueInfo) -> bool:
    return bool(info.shape) and type(info.shape[0]) is not int


def _is_by_row(value: Any, info: ValueInfo, rows: int) -> bool:
    if isinstance(value, Tensor):
        return _has_rows(info) and value.shape[:1] == (rows,)
    # What scikit-learn's classifiers return: a map of classes for each row.
    return isinstance(value, list) and len(value) == rows and info.item is not None and info.item.kind == "map"


def _replaced(value: Any, rows: Sequence[int], theirs: Any) -> Any:
    if not isinstance(value, Tensor):
        if not isinstance(theirs, list) or len(theirs) != len(rows):
            raise DoorAnswerError("The endpoint answered for other rows than those asked for.")
        whole = list(value)
        for row, item in zip(rows, theirs, strict=True):
            whole[row] = item
        return whole
    expected = (len(rows), *value.shape[1:])
    if not isinstance(theirs, Tensor) or theirs.dtype is not value.dtype or theirs.shape != expected:
        raise DoorAnswerError(
            f"The endpoint answered with {theirs}, expected {value.dtype.name} of shape {list(expected)}."
        )
    new = _items(theirs)

    def replace(items: Any, width: int) -> Any:
        whole = items[:] if isinstance(items, list) else bytearray(items)
        for place, row in enumerate(rows):
            whole[row * width : (row + 1) * width] = new[place * width : (place + 1) * width]
        return whole

    return _with_rows(value, value.shape[0], replace)


def _taken(items: Any, width: int, rows: Sequence[int]) -> Any:
    parts = [items[row * width : (row + 1) * width] for row in rows]
    return b"".join(parts) if not isinstance(items, list) else [item for part in parts for item in part]


def _items(tensor: Tensor) -> Any:
    """What a tensor's rows can be cut out of: its bytes, or a list where elements are no whole bytes."""
    return tensor.flat() if tensor.dtype.bits == _NIBBLE else tensor.data


def _with_rows(tensor: Tensor, rows: int, change: Callable[[Any, int], Any]) -> Tensor:
    """A tensor of ``rows`` rows from what ``change`` makes of another's items and of how many make a row."""
    items = _items(tensor)
    changed = change(items, len(items) // tensor.shape[0] if tensor.shape[0] else 0)
    shape = (rows, *tensor.shape[1:])
    make = Tensor.from_flat if tensor.dtype.bits == _NIBBLE else Tensor
    return make(tensor.dtype, shape, changed)
