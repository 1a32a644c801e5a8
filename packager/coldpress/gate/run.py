"""Models run as a function would run them: in fresh processes, by the engine that ships, on the user's samples."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from coldpress.forms.trial import Opening, Trial, read_answers, run_trial, write_requests
from coldpress.gate.values import Answer
from coldpress.samples.load import SampleSet

__all__ = ["SLACK_MS", "Answered", "Engine", "Race"]

_TIMED = 4
_ROUNDS = (3, 7)
_RACE_S = 20.0
_WARM, _WARM_MS = 25, 120.0
_NEAR = (0.85, 1.3)
"""Slowdowns within these multiples of the limit are measured again, as often as the time allows."""
SLACK_MS = 0.05
"""A warm answer may take so much longer whatever the ratio: what ctypes takes for one is no less."""
_OPEN_S, _ANSWER_S = 300.0, 5.0
_DUMP_BYTES = 256 << 20
"""Larger models are not dumped: weights unfold to four times their bytes, and a graph must fit one message."""


@dataclass(frozen=True)
class Answered:
    """A model's answers to all samples, kept in a file and read one at a time, as often as needed.

    Attributes:
        trial: The process that gave them: signature and metadata; its times are of no use.
        optimized: The graph as ONNX Runtime optimised it; None where that was not kept.
    """

    path: Path
    trial: Trial
    optimized: Path | None

    def __iter__(self) -> Iterator[Answer]:
        return read_answers(self.path)


@dataclass(frozen=True)
class Race:
    """Original and candidate, started in turn, each in so many fresh processes; of every figure the least counts.

    Attributes:
        slowdown: Times the original's that a warm answer of the candidate takes.
        within: Whether that, or the median of what the rounds say by themselves, is within the limit, or too little to
            be felt: a model is not refused for what one busy moment did.
    """

    original: Trial
    candidate: Trial
    rounds: int
    slowdown: float
    within: bool


class Engine:
    """Runs models on one set of samples.

    Args:
        samples: Requests, with states and sequences.
        work: Folder for requests and answers.
        library: ONNX Runtime's library.
        threads: Threads of the function, for times; answers are taken with one, so that they are the same each time.
    """

    def __init__(self, samples: SampleSet, work: Path, library: Path, threads: int) -> None:
        self._work = work
        self._library = library
        self._threads = threads
        self._requests = write_requests(work / "requests", samples.requests, samples.states, samples.sequence)
        places = sorted({len(samples.requests) * number // _TIMED for number in range(_TIMED)})
        self._timed = write_requests(work / "timed", [samples.requests[place] for place in places])

    def answer(self, model: Path, name: str, size: int) -> Answered:
        """Take the answers to all samples.

        Args:
            model: The file.
            name: Of the file they are kept in; one of the same name is replaced.
            size: Bytes of the model.

        Raises:
            ModelError: It does not open or run.
        """
        place = self._work / name
        optimized = self._work / f"{name}.optimized.onnx" if size <= _DUMP_BYTES else None
        opening = Opening(optimized_path=str(optimized) if optimized else None)
        timeout_s = _OPEN_S + _ANSWER_S * self._requests.count
        trial = run_trial(model, opening, self._requests, library=self._library, answers=place, timeout_s=timeout_s)
        return Answered(place, trial, optimized)

    def race(self, original: Path, candidate: Path, max_slowdown: float) -> Race:
        """Time both, in turn: what else the machine does falls on both alike, and noise only ever adds.

        More rounds than three only where the slowdown is near ``max_slowdown``.

        Raises:
            ModelError: One of them does not open or run.
        """
        models = (original, candidate)
        trials: tuple[list[Trial], list[Trial]] = ([], [])
        began, done = monotonic(), 0
        slack = SLACK_MS if max_slowdown >= 1 else 0.0  # who asks for a faster model is not given one as slow
        slowdown, within = 1.0, True
        while done < _ROUNDS[1]:
            for side in (0, 1) if done % 2 else (1, 0):
                trials[side].append(self._time(models[side]))
            done += 1
            before, after = (self.warm_ms(_least(side)) for side in trials)
            slowdown = after / before if before else 1.0
            by_round = [self.warm_ms(b) / max(1e-9, self.warm_ms(a)) for a, b in zip(*trials, strict=True)]
            within = min(slowdown, median(by_round)) <= max_slowdown or after <= before * max_slowdown + slack
            near = _NEAR[0] <= slowdown / max_slowdown <= _NEAR[1]
            if done >= _ROUNDS[0] and not (near and monotonic() - began < _RACE_S):
                break
        return Race(_least(trials[0]), _least(trials[1]), done, slowdown, within)

    def cold_ms(self, trial: Trial) -> float:
        """Return the time of a cold start: of the processor with one thread, by the clock with more."""
        return trial.cold_ms if self._threads == 1 else trial.cold_wall_ms

    def first_ms(self, trial: Trial) -> float:
        """Return the time of the first answer, likewise."""
        return trial.first_ms if self._threads == 1 else trial.first_wall_ms

    def warm_ms(self, trial: Trial) -> float:
        """Return the time of a later answer, likewise."""
        return trial.warm_ms if self._threads == 1 else trial.warm_wall_ms

    def _time(self, model: Path) -> Trial:
        opening = Opening(threads=self._threads)
        return run_trial(model, opening, self._timed, library=self._library, timed=_TIMED, warm=_WARM, warm_ms=_WARM_MS)


def _least(trials: list[Trial]) -> Trial:
    """Return the least of every figure."""
    names = ("session_ms", "first_ms", "cold_ms", "warm_ms", "peak_mb", "first_wall_ms", "cold_wall_ms", "warm_wall_ms")
    return Trial(**{name: min(getattr(trial, name) for trial in trials) for name in names})
