"""Both models of a cascade, run on the same samples by the engine that ships: what they answer, and how quickly."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.errors import ModelError, SamplesError
from coldpress.gate.run import Engine
from coldpress.model.files import model_bytes
from coldpress.samples.sample_set import SampleSet

__all__ = ["Both", "ask_both"]

_NEVER = 1e9  # a slowdown that no race comes near: the fewest rounds do


@dataclass(frozen=True)
class Both:
    """Answers of the small and the large model, one a request, and what a warm one takes of either, in ms."""

    small: list[Mapping[str, Any]]
    large: list[Mapping[str, Any]]
    small_ms: float
    large_ms: float


def ask_both(small: Path, large: Path, samples: SampleSet, *, library: Path, threads: int = 1) -> Both:
    """Run two models on the same samples.

    Args:
        small: The function's model.
        large: The endpoint's.
        samples: Requests that both take.
        library: ONNX Runtime's library, see ``coldpress.bundle.wheels.engine_library``.
        threads: Of the function.

    Raises:
        SamplesError: One of them takes other inputs, or does not run on them.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-cascade-") as work:
        engine = Engine(samples, Path(work), library, threads)
        answered = []
        for model, name in ((small, "small"), (large, "large")):
            try:
                answered.append(engine.answer(model, name, model_bytes(model)))
            except ModelError as error:
                raise SamplesError(
                    f"The {name} model {model.name} does not run on the samples: {error} Both models of a cascade take "
                    "the same inputs."
                ) from error
        ours, theirs = answered
        if ours.trial.inputs != theirs.trial.inputs:
            raise SamplesError(
                f"The function's model takes {_told(ours.trial.inputs)} and the endpoint's {_told(theirs.trial.inputs)}"
                ": what goes out is the same request, so both need the same inputs; export them alike."
            )
        race = engine.race(small, large, _NEVER)
        return Both(list(ours), list(theirs), engine.warm_ms(race.original), engine.warm_ms(race.candidate))


def _told(ports: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {text}" for name, text in ports)
