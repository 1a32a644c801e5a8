"""A model that was tried: what it is made of, what it weighs, what the gate said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnx import ModelProto

from coldpress.gate.gate import Verdict
from coldpress.model.files import model_bytes, write_model
from coldpress.report.weights import weight_rows
from coldpress.shrink.strip import FINISHING, strip

__all__ = ["Candidate", "candidate_of", "write_candidate"]


@dataclass(frozen=True)
class Candidate:
    """One model the search made.

    Attributes:
        name: Unique in one search.
        recipe: The families of its passes and encodings, in order; empty for the original.
        path: The file; candidates that were not kept have none.
        bytes: Of the file.
        loss: Relative squared error of answers on calibration samples; None where it was not measured.
        encodings: By encoding, the number of tensors and their bytes.
        weights: See ``coldpress.report.weights``.
        verdict: What the gate said; None when it was not asked.
        why_not: Why it was not even brought before the gate, or what the gate held against it.
        seconds: To build and judge it.
    """

    name: str
    recipe: tuple[str, ...]
    path: Path
    bytes: int
    loss: float | None = None
    encodings: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    weights: Sequence[Mapping[str, Any]] = ()
    verdict: Verdict | None = None
    why_not: str = ""
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether it may ship: the gate passes it, or it answers as before, bit for bit, and only timing was unkind."""
        if self.verdict is None:
            return False
        failed = [check for check in self.verdict.checks if check.verdict != "pass"]
        unkind = all(check.name == "latency" and (check.limit or 0) >= 1 for check in failed)
        return not failed or (self.verdict.identical and unkind)

    def to_json(self, chosen: str) -> dict[str, Any]:
        """Return the record that reports hold; ``chosen`` is the name of the candidate that ships."""
        return {
            "name": self.name,
            "recipe": list(self.recipe),
            "bytes": self.bytes,
            "zip_bytes": self.verdict.zip_bytes if self.verdict else None,
            "loss": self.loss,
            "chosen": self.name == chosen,
            "accepted": self.passed,
            "why_not": self.why_not,
            "seconds": round(self.seconds, 2),
            "encodings": {name: dict(counts) for name, counts in self.encodings.items()},
            "verdict": self.verdict.to_json() if self.verdict else None,
        }


def candidate_of(path: Path, model: ModelProto, name: str, recipe: tuple[str, ...]) -> Candidate:
    """Return the candidate that the file ``path`` is, not judged yet; ``model`` holds it by names that people know."""
    return Candidate(name, recipe, path, model_bytes(path), weights=weight_rows(model))


def write_candidate(path: Path, model: ModelProto, name: str, recipe: tuple[str, ...]) -> Candidate:
    """Write ``model`` as it would ship, after the passes that hide what its weights are, and return the candidate."""
    write_model(strip(model, FINISHING).model, path)
    return candidate_of(path, model, name, recipe)
