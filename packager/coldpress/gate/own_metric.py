"""A metric that the user wrote: ``module:function``, found as Python finds modules, the current folder first."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from coldpress.errors import ConfigError, SamplesError
from coldpress.gate.metrics import Metric, Weighed
from coldpress.gate.statistics import evidence, resample
from coldpress.gate.values import Answer, Answers, Array, Scores

__all__ = ["OwnMetric", "load_metric"]

_ROUNDS = 200
"""Calls a candidate takes where the function gives one number: more would be sooner felt than seen in the bound."""


def load_metric(name: str) -> "OwnMetric":
    """Import ``module:function``.

    Raises:
        ConfigError: There is no such module or function, or importing it raises.
    """
    module, _, function = name.partition(":")
    with _current_folder():
        try:
            found = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and error.name == module:
                raise ConfigError(
                    f"The metric is {name}, and there is no module {module}; put {module}.py into this folder, "
                    "or install it."
                ) from None
            raise ConfigError(
                f"The metric is {name}, and importing {module} raised {_told(error)}; mend it."
            ) from error
    call = getattr(found, function, None)
    if not callable(call):
        what = "no such function" if call is None else f"a {type(call).__name__} of that name"
        raise ConfigError(f"The metric is {name}, and {module} has {what}; name a function in it.")
    return OwnMetric(name, call)


class OwnMetric(Metric):
    """A user's function of answers and labels; more is better.

    It is called with a list of one dict a request (output name to a numpy array that cannot be written to; lists and
    dicts where the model gives sequences and maps) and the labels, [requests, ...] or None. It returns one number, or a
    number a request or a label; the latter needs one call, the former 200 to tell how far chance may reach. Its drop is
    in the function's own unit.

    Args:
        name: ``module:function``.
        function: The function.
    """

    def __init__(self, name: str, function: Callable[[Any, Any], Any]) -> None:
        self.name = name
        self._function = function
        self._of: Answers | None = None
        self._known: dict[bytes, float] = {}

    def scores(self, answers: Answers, labels: Any, original: Answers | None = None) -> Scores | None:  # noqa: ARG002
        """Return what the function returns, where that is a sequence."""
        result = self._call(list(answers), labels)
        return result if result.ndim else None

    def value(self, answers: Answers, labels: Any, original: Answers | None = None) -> float:  # noqa: ARG002
        """Return what the function returns, or the mean of it."""
        return float(self._call(list(answers), labels).mean())

    def weigh(self, before: Answers, after: Answers, labels: Any) -> Weighed:
        """See ``Metric``; the function's drawings of the original are kept for the next candidate."""
        was, becomes = list(before), list(after)
        old, new = self._call(was, labels), self._call(becomes, labels)
        if old.shape != new.shape:
            raise SamplesError(
                f"The metric {self.name} returned {_outline(old)} once and {_outline(new)} the next time."
            )
        if old.ndim:
            unit = float(np.ptp(old)) or float(np.abs(old).max()) or 1.0
            return Weighed(float(old.mean()), float(new.mean()), evidence(old, new, unit=unit))
        if self._of is not before:
            self._of, self._known = before, {}
        truth = None if labels is None else np.asarray(labels)

        def drop(places: Array) -> float:
            key = places.tobytes()
            if key not in self._known:
                self._known[key] = self._drawn(was, truth, places)
            return self._known[key] - self._drawn(becomes, truth, places)

        found = resample(drop, len(was), rounds=_ROUNDS, unit=abs(float(old)) or 1.0)
        return Weighed(float(old), float(new), found)

    def _drawn(self, answers: list[Answer], truth: Array | None, places: Array) -> float:
        """Call the function on samples drawn again; NaN where it cannot be taken of these, such as of one class."""
        try:
            return float(self._call([answers[place] for place in places], None if truth is None else truth[places]))
        except SamplesError:
            return float("nan")

    def _call(self, answers: list[Answer], labels: Any) -> Array:
        try:
            with _current_folder():
                result = self._function(answers, labels)
        except (Exception, SystemExit) as error:
            raise SamplesError(f"The metric {self.name} raised {_told(error)}; mend it, or name another.") from error
        scores = _numbers(result)
        if scores is None:
            what = "None" if result is None else f"a {type(result).__name__}"
            raise SamplesError(f"The metric {self.name} returned {what}; expected a number, or a number a request.")
        counts = {len(answers), *([] if labels is None else [np.size(labels)])}
        if scores.ndim > 1 or (scores.ndim and len(scores) not in counts):
            wanted = " or ".join(map(str, sorted(counts)))
            raise SamplesError(f"The metric {self.name} returned {_outline(scores)}; expected one number, or {wanted}.")
        if not np.all(np.isfinite(scores)):
            raise SamplesError(f"The metric {self.name} returned {_first_odd(scores)}; expected finite numbers.")
        return scores


@contextmanager
def _current_folder() -> Iterator[None]:
    """Let the current folder be found first while importing and calling: functions import as they run, too.

    What they print goes to stderr: stdout is for results.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def _numbers(result: Any) -> Array | None:
    try:
        return None if result is None else np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _told(error: BaseException) -> str:
    message = " ".join(str(error).split())[:200].rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _outline(scores: Array) -> str:
    return (
        f"an array {list(scores.shape)}" if scores.ndim > 1 else f"{len(scores)} numbers" if scores.ndim else "a number"
    )


def _first_odd(scores: Array) -> float:
    return float(scores[~np.isfinite(scores)][0]) if scores.ndim else float(scores)
