"""Candidates made and judged, each once, and the record of all of them."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from onnx import ModelProto

from coldpress.bundle.wheels import sha256_of
from coldpress.errors import ModelError, SamplesError
from coldpress.gate.gate import Gate
from coldpress.model.files import model_files
from coldpress.search.calibration import Calibration
from coldpress.search.candidate import Candidate, candidate_of, write_candidate
from coldpress.search.clock import Clock
from coldpress.search.styles import families_of
from coldpress.search.workbench import KEEP, Workbench

__all__ = ["Base", "Trials"]


@dataclass(frozen=True)
class Base:
    """A model whose weights are to be encoded, and the passes that made it; ``last`` if none more faithful follows."""

    recipe: tuple[str, ...]
    bench: Workbench
    last: bool = False


class Trials:
    """What was tried.

    Args:
        gate: Judges.
        calibration: Gives each candidate's loss; None where only lossless passes ran.
        clock: Asked before each trial.
        work: Folder for the files.
        tell: Gets a line on what is being tried.

    Attributes:
        candidates: In the order they were judged.
    """

    def __init__(
        self,
        gate: Gate,
        calibration: Calibration | None,
        clock: Clock,
        work: Path,
        tell: Callable[[str], None],
    ) -> None:
        self.candidates: list[Candidate] = []
        self._gate = gate
        self._calibration = calibration
        self._clock = clock
        self._work = work
        self._tell = tell
        self._seen: dict[tuple[str, ...], Candidate] = {}

    def judge(self, base: Base, name: str, choice: Mapping[str, str]) -> Candidate:
        """Build the candidate that ``choice`` (encoding by site) makes of ``base`` and bring it before the gate.

        Of one recipe, the same bytes are judged once.
        """
        self._clock.check()
        self._tell(f"{name}: build")
        started = time.monotonic()
        earlier = sum(candidate.name.partition(" ")[0] == name for candidate in self.candidates)
        name = f"{name} ({earlier + 1})" if earlier else name
        path = self._work / f"{len(self.candidates)}.onnx"
        made = write_candidate(path, base.bench.build(choice), name, (*base.recipe, *families_of(choice)))
        content = (*made.recipe, *(sha256_of(file) for file in model_files(path)))
        if content not in self._seen:
            made = replace(made, encodings=encoding_counts(base.bench, choice))
            self._seen[content] = self._judge(made, started)
        return self._seen[content]

    def judge_file(self, path: Path, model: ModelProto, name: str, recipe: tuple[str, ...]) -> Candidate:
        """Bring a file that is there already before the gate; ``model`` is what it holds."""
        return self._judge(candidate_of(path, model, name, recipe), time.monotonic())

    def _judge(self, made: Candidate, started: float) -> Candidate:
        """Measure and judge the very file that would ship."""
        loss = self._calibration.loss(made.path) if self._calibration else 0.0
        self._tell(f"{made.name}, {made.bytes / 1e6:.2f} MB: gate")
        verdict, why_not = None, ""
        try:
            verdict = self._gate.judge(made.path)
            why_not = verdict.why_not
        except (ModelError, SamplesError) as error:
            why_not = str(error)
        seconds = time.monotonic() - started
        candidate = replace(made, loss=loss, verdict=verdict, why_not=why_not, seconds=seconds)
        self.candidates.append(candidate)
        return candidate


def encoding_counts(bench: Workbench, choice: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return, by encoding, how many tensors it holds and their bytes."""
    tensors: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for site, encoding in choice.items():
        if encoding != KEEP:
            tensors[encoding] += 1
            sizes[encoding] += bench.nbytes(site, encoding)
    return {name: {"tensors": tensors[name], "bytes": sizes[name]} for name in sorted(tensors)}
