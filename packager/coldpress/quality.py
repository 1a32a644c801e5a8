"""How right the packed model is on the user's own samples, beside the original."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from coldpress.errors import SamplesError, VerifyError
from coldpress.reference import compare_outputs

__all__ = ["Quality", "measure_quality"]

_NUMBERS = "biuf"
Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Quality:
    """The verdict of the gate.

    ``metric`` is ``accuracy`` (share of labels met, 0 to 1) or ``cosine`` (smallest cosine similarity between an
    answer of the shrunk model and the original's, 0 to 1). ``verdict`` is ``pass`` or ``fail``, or ``unmeasured``
    when no samples were given: then only passes that change no answer may run.
    """

    metric: str | None = None
    original: float | None = None
    shrunk: float | None = None
    samples: int = 0
    verdict: Literal["pass", "fail", "unmeasured"] = "unmeasured"

    def check(self, model: str) -> None:
        """Refuse a verdict of ``fail``.

        Raises:
            VerifyError: An answer of the shrunk model is not the original's.
        """
        if self.verdict == "fail":
            raise VerifyError(
                f"The stripped model does not answer like {model} on your samples ({self.metric} {self.shrunk:.6g} "
                f"instead of {self.original:.6g}); pack with --no-strip, and tell us."
            )


def measure_quality(
    requests: Sequence[Mapping[str, Any]],
    labels: Any | None,
    original: Answer,
    shrunk: Answer,
    metric: str | None,
    drawn: Collection[str] = frozenset(),
) -> Quality:
    """Answer every request with both models and compare.

    Args:
        requests: Inputs by name, one mapping of numpy arrays a request.
        labels: One true label a row over all requests, or None.
        original: The model before, as a function from inputs to outputs by name.
        shrunk: The model after, likewise.
        metric: ``accuracy``, ``cosine``, or None to take accuracy when there are labels.
        drawn: Outputs that depend on chance, whose values are not compared.

    Lossless passes are held to the letter: ``pass`` means that every answer is the same bit for bit, so that no
    statistics are needed; the figures say what that answer is worth.

    Raises:
        SamplesError: ``accuracy`` was asked for without labels, or of a model that gives no label.
    """
    metric = metric or ("accuracy" if labels is not None else "cosine")
    if metric == "accuracy" and labels is None:
        raise SamplesError("The metric is accuracy, but the samples hold no `label`; add it, or use cosine.")
    pairs = [(original(request), shrunk(request)) for request in requests]
    differences = [compare_outputs(before, after, drawn) for before, after in pairs]
    verdict: Literal["pass", "fail"] = "pass" if all(d.equal for d in differences) else "fail"
    if metric == "cosine":
        cosine = min((d.cosine if not d.structure else 0.0 for d in differences), default=1.0)
        return Quality("cosine", 1.0, cosine, len(pairs), verdict)
    before, after = (_accuracy([pair[i] for pair in pairs], labels) for i in (0, 1))
    return Quality("accuracy", before, after, len(labels) if labels is not None else 0, verdict)


def _accuracy(answers: Sequence[Mapping[str, Any]], labels: Any) -> float:
    import numpy as np

    predicted = np.concatenate([_labels(answer) for answer in answers])
    truth = np.asarray(labels).ravel()
    if len(predicted) != len(truth):
        raise SamplesError(
            f"The samples hold {len(truth)} labels and the model gives {len(predicted)} answers; give one label a row."
        )
    if predicted.dtype.kind in _NUMBERS and truth.dtype.kind in _NUMBERS:
        return float(np.mean(predicted == truth))
    return float(np.mean(predicted.astype(str) == truth.astype(str)))


def _labels(answer: Mapping[str, Any]) -> Any:
    """Take the label a row: a one-dimensional integer or text output as it is, else the argmax of scores [N, C]."""
    import numpy as np

    arrays = [np.asarray(value) for value in answer.values() if not isinstance(value, (list, dict))]
    for array in arrays:
        if array.ndim == 1 and (array.dtype.kind in "iuUO"):
            return array
    for array in arrays:
        if array.ndim == 2 and array.dtype.kind == "f":
            return array.argmax(axis=1)
    raise SamplesError(
        "The metric is accuracy, but no output is a label a row [N] or scores a class [N, C]; use cosine."
    )
