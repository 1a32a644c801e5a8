"""Answers as arrays: sequences of maps, as classifiers give them, laid out like every other table of scores."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Answer", "Answers", "Array", "Scores", "arrays_of", "cosine", "floats_of", "keys_of", "rows", "without"]

Answer = Mapping[str, Any]
Answers = Iterable[Answer]
"""One mapping of output name to value a request; read more than once, so a list or a reader of a file."""
Array = npt.NDArray[Any]
Scores = npt.NDArray[np.float64]

_NEGLIGIBLE = 1e-4
"""An answer whose size is below this share of the largest one seen is nothing, and its direction means nothing."""


def keys_of(value: Any) -> tuple[Any, ...] | None:
    """Return the keys of a sequence of maps that all have the same keys; None for anything else."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        return None
    keys = tuple(value[0])
    return keys if keys and all(tuple(item) == keys for item in value) else None


def arrays_of(answer: Answer) -> dict[str, Array]:
    """Return an answer's values as arrays by name.

    A sequence of maps becomes a table [rows, keys]; of other sequences and of maps every element counts by itself, as
    ``name[0]``. Empty optionals are left out.
    """
    return {name: array for outer, value in answer.items() for name, array in _arrays(outer, value)}


def _arrays(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    if value is None:
        return
    if (keys := keys_of(value)) is not None:
        yield name, np.array([[row[key] for key in keys] for row in value])
    elif isinstance(value, dict):
        yield name, np.array(list(value.values()))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _arrays(f"{name}[{place}]", item)
    else:
        yield name, np.asarray(value)


def floats_of(answer: Answer) -> dict[str, Array]:
    """Return the arrays of an answer that hold floating-point numbers, in float64; bfloat16 and float8 are such too."""
    return {
        name: array.astype(np.float64)
        for name, array in arrays_of(answer).items()
        if array.dtype.kind == "f" or (array.dtype.kind == "V" and "float" in array.dtype.name)
    }


def rows(array: Array) -> int:
    """Return along how many rows an array counts: its first axis, one for a scalar."""
    return len(array) if array.ndim else 1


def without(answers: Answers, names: Collection[str]) -> Answers:
    """Leave outputs out of answers; what is returned can be read as often as ``answers`` can."""
    return _Without(answers, frozenset(names)) if names else answers


class _Without:
    def __init__(self, answers: Answers, names: frozenset[str]) -> None:
        self._answers = answers
        self._names = names

    def __iter__(self) -> Iterator[Answer]:
        for answer in self._answers:
            yield {name: value for name, value in answer.items() if name not in self._names}


def cosine(before: Answer, after: Answer, largest: Mapping[str, float]) -> float:
    """Return the smallest cosine similarity over the outputs of one request, -1 to 1.

    Args:
        before: The original's answer.
        after: The candidate's.
        largest: By output, the largest root mean square that the original gives anywhere.

    An answer that is nothing beside others of the same output has no direction: it must be nothing in the candidate
    too. Nor has a single number: it counts 1 less its error, in shares of the largest one. Of models that give no
    floats, answers are 1 where they are equal and 0 where not. Another shape is 0. Elements that are not finite in both
    are left out.
    """
    floats, others = floats_of(before), floats_of(after)
    if not floats:
        same = [
            np.array_equal(a, b) for a, b in zip(arrays_of(before).values(), arrays_of(after).values(), strict=False)
        ]
        return float(all(same))
    return min(_cosine(a, others.get(name), largest.get(name, 0.0)) for name, a in floats.items())


def _cosine(a: Array, b: Array | None, largest: float) -> float:
    if b is None or a.shape != b.shape:
        return 0.0
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if not a.size:
        return 1.0
    if a.size == 1:
        error, scale = float(np.abs(a - b).sum()), max(largest, float(np.abs(a).sum()))
        return max(-1.0, 1 - error / scale) if scale else float(error == 0)
    floor = _NEGLIGIBLE * largest
    if root_mean_square(a) <= floor:
        return float(root_mean_square(b) <= 2 * floor)
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not norms:
        return 0.0
    if np.array_equal(a, b):
        return 1.0
    return max(-1.0, min(1.0, float(a @ b) / norms))


def root_mean_square(array: Array) -> float:
    """Return the root mean square of the finite elements of a float64 array, 0 where there are none."""
    finite = array[np.isfinite(array)]
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 0.0


def largest_of(answers: Answers) -> dict[str, float]:
    """Return, by output, the largest root mean square over all answers."""
    found: dict[str, float] = {}
    for answer in answers:
        for name, array in floats_of(answer).items():
            found[name] = max(found.get(name, 0.0), root_mean_square(array))
    return found
