"""May rows run through a model together, and each come out as it would by itself?

Not where the first axis counts something else than records, nor where the model chooses a scale for all that it is
given (DynamicQuantizeLinear): there the rows of a chunk would change each other's answers, and with them the size of
the chunks, which depends on the speed of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from coldpress_runtime.errors import RunError
from coldpress_runtime.tensor import Tensor

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from coldpress_runtime.ort import Session

    Array = np.ndarray[Any, Any]

__all__ = ["are_independent", "has_rows"]

_LOUDER = 16
_ROUNDING, _ROUNDING_16 = 1e-3, 1e-2  # of an output's largest number, by which sums in another order may differ


def are_independent(session: Session, rows: Sequence[Mapping[str, Tensor]], outputs: Collection[str]) -> bool | None:
    """Run rows one by one, then together beside others whose numbers are larger, and compare.

    Args:
        session: the model.
        rows: its inputs for some rows, each with a batch axis of 1.
        outputs: those that need a row for each of the input's.

    Returns:
        None when the model refuses one of the rows, and nothing can be said.
    """
    try:
        alone = [session.run(row, None) for row in rows]
        try:
            together = session.run(_joined(rows, _LOUDER), None)
        except RunError:  # such numbers make no sense to this model
            together = session.run(_joined(rows, 1), None)
    except RunError:
        return None
    return all(
        _is_alike(together[info.name], [one[info.name] for one in alone], needs_rows=info.name in outputs)
        for info in session.outputs
    )


def has_rows(value: Any, count: int) -> bool:
    """Whether an output has so many rows."""
    if isinstance(value, Tensor):
        return bool(value.shape) and value.shape[0] == count
    return isinstance(value, list) and len(value) == count


def _joined(rows: Sequence[Mapping[str, Tensor]], factor: int) -> dict[str, Tensor]:
    """Rows, and after them the same with all fractions so much larger that a common scale would show."""
    feed = {}
    for name, tensor in rows[0].items():
        values = np.concatenate([row[name].numpy() for row in rows])
        with np.errstate(over="ignore"):
            others = values * values.dtype.type(factor) if values.dtype.kind == "f" else values
        feed[name] = Tensor.from_numpy(np.concatenate([values, others]), tensor.dtype)
    return feed


def _is_alike(together: Any, alone: list[Any], *, needs_rows: bool) -> bool:
    """Whether an output of rows together is that of each by itself, but for rounding; only floats are compared."""
    if not has_rows(together, 2 * len(alone)) or not all(has_rows(one, 1) for one in alone):
        return not needs_rows
    numbers = _floats(together)
    if numbers is None:
        return True
    finite = np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0)
    limit = float(finite) * (_ROUNDING_16 if numbers.dtype.itemsize == 2 else _ROUNDING)
    for number, one in zip(numbers, map(_floats, alone), strict=False):  # the others are the louder ones
        if one is None or one.shape[1:] != number.shape or not np.allclose(number, one[0], 0, limit, equal_nan=True):
            return False
    return True


def _floats(value: Any) -> Array | None:
    """The floats of an output, with an item a row; None where it has none, or not as many for each."""
    if isinstance(value, Tensor):
        array = value.numpy()
    elif all(isinstance(item, dict) for item in value) and len(set(map(tuple, value))) == 1:
        array = np.array([list(item.values()) for item in value])
    else:
        return None
    return array if array.dtype.kind == "f" else None
