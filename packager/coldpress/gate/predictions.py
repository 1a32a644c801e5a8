"""What a model predicts where the samples hold the truth: labels and numbers found among its outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from coldpress.errors import SamplesError
from coldpress.gate.values import Answer, Answers, Array, floats_of, keys_of, rows

__all__ = ["Predictions", "labels_by", "numbers_by"]

_NUMBERS = "biuf"


@dataclass(frozen=True)
class Predictions:
    """Predictions and truth, side by side.

    Attributes:
        predicted: [n, k]: a row a sample, k labels in it, one for a model that classifies wholes.
        truth: Likewise.
    """

    predicted: Array
    truth: Array


def labels_by(answers: Answers, labels: Any) -> Predictions:
    """Find the label of each row: integers or text as they are, else the likeliest class, else likelier than not.

    Raises:
        SamplesError: Labels and answers are not as many; no output is a label; or a label is none of the classes
            that scores are given for.
    """
    found = _predictions(answers, labels, _labels)
    if found.predicted.dtype.kind in _NUMBERS and found.truth.dtype.kind in _NUMBERS:
        return found
    return Predictions(found.predicted.astype(str), found.truth.astype(str))


def numbers_by(answers: Answers, labels: Any) -> Predictions:
    """Find the number of each row, float64: the first output with as many numbers as there are labels.

    Raises:
        SamplesError: There is none, or labels are no numbers.
    """
    if np.asarray(labels).dtype.kind not in _NUMBERS:
        raise SamplesError(f"the metric mae needs numbers as labels, and the first one is {np.ravel(labels)[0]!r}")
    return _predictions(answers, labels, _numbers)


def _predictions(answers: Answers, labels: Any, find: Callable[[Answer, Array], Array]) -> Predictions:
    """Stack what ``find`` predicts for each request, [rows, k], and the truth in the same shape."""
    truth = np.asarray(labels)
    found, count = [], 0
    for answer in answers:  # one at a time: answers may be large, and are read from a file
        if count < len(truth):
            found.append(find(answer, np.asarray(truth[count])))
        count += 1
    if count != len(truth):
        raise _uneven(truth.size, count)
    if len({array.shape[1] for array in found}) > 1:
        raise SamplesError("the requests hold different numbers of labels a row; give as many for each")
    predicted = np.concatenate(found)
    return Predictions(predicted, truth.reshape(predicted.shape))


def _labels(answer: Answer, truth: Array) -> Array:
    plain = {name: np.asarray(value) for name, value in answer.items() if not isinstance(value, list | dict | None)}
    whole = [array for array in plain.values() if array.dtype.kind in "biuUOS"]
    for array in whole:
        if array.size == truth.size:
            return array.reshape(rows(array), -1)
    for value in answer.values():
        if (keys := keys_of(value)) is not None and len(value) == truth.size:
            return np.array([[max(keys, key=row.__getitem__)] for row in value])
    floats = floats_of(plain)
    for name, array in floats.items():
        classes = array.shape[-1] if array.ndim else 0
        if classes > 1 and array.size == truth.size * classes:
            _check_classes(truth, classes, name)
            likeliest: Array = np.asarray(array.argmax(axis=-1))
            return likeliest.reshape(rows(likeliest), -1)
    for array in floats.values():
        if array.size == truth.size and bool(np.all((array >= 0) & (array <= 1))):
            return (array > 0.5).astype(np.int64).reshape(rows(array), -1)
    if flat := [array for array in whole if array.ndim == 1]:
        raise _uneven(truth.size, flat[0].size)
    several = f", and the samples hold {truth.size} labels a request" if truth.size > 1 else ""
    raise SamplesError(
        "no output is a label a row [N], scores a class [N, C] or a probability a row [N], which accuracy and f1 need"
        f"{several}; use the metric cosine, or a function of your own"
    )


def _check_classes(truth: Array, classes: int, name: str) -> None:
    if truth.dtype.kind not in _NUMBERS:
        first = np.ravel(truth)[0]
        raise SamplesError(
            f"the labels are text, such as {str(first)!r}, and output {name!r} scores {classes} classes by number; "
            f"give the number of the class, 0 to {classes - 1}"
        )
    wrong = np.ravel(truth)[(np.ravel(truth) < 0) | (np.ravel(truth) >= classes) | (np.ravel(truth) % 1 != 0)]
    if wrong.size:
        raise SamplesError(
            f"the label {wrong[0]} is no class: output {name!r} scores {classes} classes, 0 to {classes - 1}; "
            "number the labels as the model does"
        )


def _numbers(answer: Answer, truth: Array) -> Array:
    plain = {name: np.asarray(value) for name, value in answer.items() if not isinstance(value, list | dict | None)}
    whole = {name: array.astype(np.float64) for name, array in plain.items() if array.dtype.kind in "iu"}
    for array in (*floats_of(plain).values(), *whole.values()):
        if array.size == truth.size:
            return array.reshape(rows(array) if truth.ndim and rows(array) == rows(truth) else 1, -1)
    raise SamplesError(
        f"no output holds as many numbers as there are labels ({truth.size} a request), which mae needs; "
        "use the metric cosine, or a function of your own"
    )


def _uneven(labels: int, answers: int) -> SamplesError:
    return SamplesError(
        f"The samples hold {labels} labels and the model gives {answers} answers; give one label a row."
    )
