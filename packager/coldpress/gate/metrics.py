"""Metrics: how right answers are, by labels, by the original's answers, or by the user's own function."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from coldpress.errors import ConfigError, SamplesError
from coldpress.gate.decisions import always_the_same, decision_rules, unchanged
from coldpress.gate.predictions import Predictions, labels_by, numbers_by
from coldpress.gate.statistics import Evidence, evidence, resample
from coldpress.gate.values import Answers, Array, Scores, cosine, largest_of

__all__ = ["Metric", "Weighed", "macro_f1", "resolve_metric"]

_ROUNDS = 1000


@dataclass(frozen=True)
class Weighed:
    """Two models on the same samples.

    Attributes:
        original: The metric's value for the original.
        shrunk: The same for the candidate.
        evidence: What that says of the drop.
        problem: Why these samples cannot tell right from wrong, whatever the models answer; empty when they can.
    """

    original: float
    shrunk: float
    evidence: Evidence
    problem: str = ""


class Metric(ABC):
    """A number that says how right a model's answers are.

    Answers are one mapping of outputs a request, in the order of the samples; they are read more than once.

    Attributes:
        name: As the user writes it.
        direction: Whether more is better.
        needs_labels: Whether it holds answers against labels rather than against the original's answers.
    """

    name: str
    direction: Literal["higher", "lower"] = "higher"
    needs_labels: bool = False

    @abstractmethod
    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores | None:
        """Return the score of each sample, float64 [n]; None for a metric that is no mean of such scores.

        Args:
            answers: To be judged.
            labels: The truth, one entry a request, or None.
            original: The original's answers, for metrics that need no labels; left out, ``answers`` are they.
        """

    def value(self, answers: Answers, labels: Any, original: Answers | None = None) -> float:
        """Return the metric, the mean of the scores unless it says otherwise; arguments are those of ``scores``."""
        scores = self.scores(answers, labels, original)
        assert scores is not None  # noqa: S101  (a metric without scores has a value of its own)
        return float(scores.mean())

    def drop(self, before: Answers, after: Answers, labels: Any) -> float:
        """Return by how much ``after`` is worse than ``before``, the original's answers; negative when it is better."""
        return self.weigh(before, after, labels).evidence.drop

    @abstractmethod
    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        """Hold ``after`` against ``before``, the original's answers, sample by sample.

        Raises:
            SamplesError: The samples are not what the metric needs, or its function raises.
        """


class Accuracy(Metric):
    """Share of labels met; a drop of 0.01 is one label in a hundred."""

    name = "accuracy"
    needs_labels = True

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores:  # noqa: ARG002
        found = labels_by(answers, _given(labels, self.name))
        shares: Scores = (found.predicted == found.truth).mean(axis=1, dtype=np.float64)
        return shares

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        old, new = self.scores(before, labels), self.scores(after, labels)
        problem = _one_label(labels) or _no_label_met(float(old.mean()), len(old))
        return Weighed(float(old.mean()), float(new.mean()), evidence(old, new, unit=1.0), problem)


class F1(Metric):
    """F1: of class 1 where labels are 0 and 1, else the mean over classes (macro); classes as in scikit-learn.

    It is no mean over samples, so its drop is bounded by drawing the samples again.
    """

    name = "f1"
    needs_labels = True

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> None:
        """There are none."""

    def value(self, answers: Answers, labels: Any, original: Answers | None = None) -> float:  # noqa: ARG002
        found = labels_by(answers, _given(labels, self.name))
        return macro_f1(found.predicted, found.truth)

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        old, new = (labels_by(answers, _given(labels, self.name)) for answers in (before, after))
        truth, was, becomes, score = _coded(old, new)

        def drop(places: Array) -> float:
            return score(was[places], truth[places]) - score(becomes[places], truth[places])

        found = resample(drop, len(truth), rounds=_ROUNDS, unit=1.0)
        worth = score(was, truth)
        return Weighed(worth, worth - found.drop, found, _one_label(labels) or _no_label_met(worth, len(truth)))


class MeanAbsoluteError(Metric):
    """Mean absolute error, in the labels' own unit.

    Its drop is the increase, divided by the error of the best constant guess (the labels' mean distance from their
    median): what share of all there is to be known is lost. So 0.01 means the same for metres and for millimetres.
    """

    name = "mae"
    direction = "lower"
    needs_labels = True

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores:  # noqa: ARG002
        found = numbers_by(answers, _given(labels, self.name))
        errors: Scores = np.abs(found.predicted - found.truth).mean(axis=1, dtype=np.float64)
        return errors

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        old, new = self.scores(before, labels), self.scores(after, labels)
        truth = np.asarray(labels, np.float64)
        spread = float(np.mean(np.abs(truth - np.median(truth, axis=0))))
        found = evidence(-old, -new, unit=spread, scale=1 / spread if spread else 1.0)
        return Weighed(float(old.mean()), float(new.mean()), found, _one_label(labels) or _no_number(old, new))


class Cosine(Metric):
    """Cosine similarity of each request's answer to the original's, the smallest over outputs; and their mean."""

    name = "cosine"

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores:  # noqa: ARG002
        if original is None or original is answers:
            return np.ones(sum(1 for _ in answers))
        largest = largest_of(original)
        return np.array([cosine(old, new, largest) for old, new in zip(original, answers, strict=True)])

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        new = self.scores(after, labels, before)
        # Equal to the last digit of a float64 is not unseen: unlike a decision, a cosine shows the smallest error.
        return Weighed(1.0, float(new.mean()), evidence(np.ones(len(new)), new, unit=0.0))


class Agreement(Metric):
    """Share of the original's decisions (see ``coldpress.gate.decisions``) that stay as they are."""

    name = "agreement"

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores:  # noqa: ARG002
        original = answers if original is None else original
        if not (rules := decision_rules(original)):
            raise SamplesError(
                "The metric is agreement, but no output is a decision: none holds integers, text, probabilities of "
                "classes or values within 0 and 1; use cosine."
            )
        return np.concatenate([unchanged(old, new, rules) for old, new in zip(original, answers, strict=True)])

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        new = self.scores(after, labels, before)
        problem = ""
        if always_the_same(before, decision_rules(before)):
            problem = (
                "The original decides the same on all samples: a model that always did so would pass; "
                "give samples that it decides differently."
            )
        return Weighed(1.0, float(new.mean()), evidence(np.ones(len(new)), new, unit=1.0), problem)


def resolve_metric(name: str | None, labelled: bool) -> Metric:
    """Return the metric ``name``: ``accuracy``, ``f1``, ``mae``, ``cosine``, ``agreement`` or ``module:function``.

    None means accuracy when there are labels, else cosine.

    Raises:
        ConfigError: There is no such metric, module or function.
        SamplesError: It needs labels and there are none.
    """
    known = {kind.name: kind for kind in (Accuracy, F1, MeanAbsoluteError, Cosine, Agreement)}
    name = name or ("accuracy" if labelled else "cosine")
    if ":" in name:
        from coldpress.gate.own_metric import load_metric  # noqa: PLC0415  (it needs what is defined here)

        return load_metric(name)
    if name not in known:
        raise ConfigError(f'The metric is {name!r}; expected one of {", ".join(known)}, or "module:function".')
    metric = known[name]()
    if metric.needs_labels and not labelled:
        raise SamplesError(f"The metric is {name}, but the samples hold no `label`; add it, or use cosine.")
    return metric


def macro_f1(predicted: Array, truth: Array) -> float:
    """Return F1 of class 1 where ``truth`` holds 0 and 1 alone, else the mean over all classes that either names.

    F1 is 2 tp / (2 tp + fp + fn); a class that is never met has 0.
    """
    same = Predictions(predicted, truth)
    coded, codes, _, score = _coded(same, same)
    return score(codes, coded)


def _coded(old: Predictions, new: Predictions) -> "tuple[Array, Array, Array, _Score]":
    """Number the classes: return the truth and both predictions by number, each [n, k], and what gives their F1."""
    named = [old.truth, old.predicted, new.predicted]
    classes, codes = np.unique(np.concatenate([part.ravel() for part in named]), return_inverse=True)
    truth, was, becomes = (part.reshape(old.truth.shape) for part in np.split(codes.ravel(), 3))
    if set(classes.tolist()) <= {0, 1}:
        return truth, was, becomes, _Score(2, positive=int(np.searchsorted(classes, 1)))
    return truth, was, becomes, _Score(len(classes), positive=None)


@dataclass(frozen=True)
class _Score:
    """F1 of classes by number: of the positive one alone, or the mean over all that occur."""

    classes: int
    positive: int | None

    def __call__(self, predicted: Array, truth: Array) -> float:
        predicted, truth = predicted.ravel(), truth.ravel()
        met = np.bincount(truth[predicted == truth], minlength=self.classes)
        both = np.bincount(predicted, minlength=self.classes) + np.bincount(truth, minlength=self.classes)
        if self.positive is not None:
            return float(2 * met[self.positive] / both[self.positive]) if both[self.positive] else 0.0
        seen = both > 0
        return float(np.mean(2 * met[seen] / both[seen]))


def _given(labels: Any, metric: str) -> Any:
    if labels is None:
        raise SamplesError(f"The metric is {metric}, but the samples hold no `label`; add it, or use cosine.")
    return labels


def _one_label(labels: Any) -> str:
    flat = np.ravel(np.asarray(labels))
    if len(flat) > 1 and np.all(flat == flat[0]):
        return f"All labels are {str(flat[0])[:40]}: a model that always says so would pass; give samples of each kind."
    return ""


def _no_label_met(worth: float, samples: int) -> str:
    if worth == 0 and samples > 1:
        return (
            f"The original meets none of the {samples} labels, so there is nothing that a smaller model could lose; "
            "check that the labels are those of this model."
        )
    return ""


def _no_number(old: Scores, new: Scores) -> str:
    if not (np.all(np.isfinite(old)) and np.all(np.isfinite(new))):
        return "The error of some samples is not finite; check the labels and what the models answer to them."
    return ""
