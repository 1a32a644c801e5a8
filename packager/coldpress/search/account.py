"""What a shrink says of itself: the model that ships, every candidate, and why nothing was gained where nothing was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.encodings.sites import find_sites
from coldpress.gate.verdict import Verdict
from coldpress.model.files import model_bytes
from coldpress.model.weights import iter_weights
from coldpress.search.candidate import Candidate
from coldpress.search.inputs import Inputs
from coldpress.search.selection import LEAST_GAIN
from coldpress.search.vocabulary_step import TRIMMED
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import untouchable
from coldpress.shrink.lossless import Stripped

__all__ = ["EXACT", "UNTOUCHED", "Shrunk", "nothing_to_gain", "result"]

EXACT = "strip"
"""The name of the candidate that answers like the original, bit for bit."""
UNTOUCHED = "untouched"
"""The name of the candidate that is the original, tried where the gate refuses the stripped model."""
_MUCH = 0.75
"""A model of this share of the bytes is much smaller."""
_STORED = 0.25
"""The share of its bytes that a float weight needs at 8 bits."""


@dataclass(frozen=True)
class Shrunk:
    """The model that ships, and the account of how it was found.

    Attributes:
        path: The file.
        record: ``recipe``, ``original_bytes``, ``shrunk_bytes``, ``candidates``, ``strip`` and ``samples``, as reports
            hold it.
        quality: What the gate said of the model that ships: ``metric``, ``original``, ``shrunk``, ``samples``,
            ``verdict`` and more.
        notes: What a user should know.
        weights: Of the model that ships, see ``coldpress.report.weights``.
    """

    path: Path
    record: Mapping[str, Any]
    quality: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    weights: tuple[Mapping[str, Any], ...] = ()

    @property
    def exact(self) -> bool:
        """Whether answers are the original's, bit for bit, to requests of tokens that a trimmed vocabulary has."""
        return not set(self.record["recipe"]) - {"strip", TRIMMED}

    def to_json(self) -> dict[str, Any]:
        """Return the record and the quality, as commands print them."""
        return {**self.record, "quality": dict(self.quality), "notes": list(self.notes)}


def result(
    chosen: Candidate,
    candidates: Sequence[Candidate],
    inputs: Inputs,
    stripped: Stripped,
    notes: Sequence[str],
    samples: Mapping[str, Any],
) -> Shrunk:
    """Put together what is said of a shrink of ``inputs`` that ended with ``chosen``.

    ``samples`` says how many there were for ``calibration`` and for ``evaluation``, and their ``origin``.
    """
    told = [candidate.to_json(chosen.name) for candidate in candidates]
    original_bytes = model_bytes(inputs.source)
    record = {
        "recipe": [*inputs.recipe, *chosen.recipe],
        "original_bytes": original_bytes,
        "shrunk_bytes": chosen.bytes,
        "candidates": [{**candidate, "recipe": [*inputs.recipe, *candidate["recipe"]]} for candidate in told],
        "strip": stripped.to_json(),
        "samples": dict(samples),
    }
    quality = {"metric": None, "original": None, "shrunk": None, "samples": 0, "verdict": "unmeasured"}
    if chosen.verdict is not None:
        quality = chosen.verdict.to_json()
        if inputs.path != inputs.source:
            quality |= {"original_bytes": original_bytes, "original_zip_bytes": None}
    held_back = f"Strip was left out: {stripped.why_not}." if stripped.why_not else ""
    unsettled = _unsettled(chosen, candidates)
    return Shrunk(
        chosen.path,
        record,
        quality,
        tuple(filter(None, (*inputs.notes, *notes, unsettled, held_back))),
        tuple(chosen.weights),
    )


def _unsettled(chosen: Candidate, candidates: Sequence[Candidate]) -> str:
    """Say that the samples are too few, where that alone keeps a much smaller model from shipping; else nothing."""
    found = [
        (verdict.samples_needed or 0, candidate.bytes, candidate.name, verdict.why_not)
        for candidate in candidates
        if (verdict := candidate.verdict) is not None
        and verdict.verdict == "inconclusive"
        and (verdict.samples_needed or _unharmed(verdict))
        and candidate.bytes <= _MUCH * chosen.bytes
    ]
    if not found:
        return ""
    _, size, name, why_not = min(found)
    return f"{name} with {size:,} bytes may be right as well, which these samples do not prove: {why_not}"


def _unharmed(verdict: Verdict) -> bool:
    """Tell whether the samples, poor as they are, show no more of a drop than is allowed."""
    allowed = next((check.limit for check in verdict.checks if check.name == "quality"), None)
    return verdict.drop is not None and allowed is not None and verdict.drop <= allowed


def nothing_to_gain(stripped: Stripped, worth_bytes: int) -> str:
    """Say why no encoding can make this model smaller by ``worth_bytes`` and by a share worth having, or nothing."""
    if why_not := untouchable(stripped.model):
        return f"Nothing was encoded: {why_not}."
    weights = list(iter_weights(stripped.model))
    if any(weight.external for weight, _ in weights):
        return (
            "The model's weights are too large for one ONNX file, and stay outside it as they are; "
            "only lossless passes were tried."
        )
    most = int(sum(site.nbytes for site in find_sites(Draft(stripped.model))) * (1 - _STORED))
    if most < LEAST_GAIN * stripped.bytes:
        sizes: Counter[str] = Counter()
        for weight, _ in weights:
            sizes[f"{weight.dtype} {weight.place} read by {weight.used_by or 'nothing'}"] += weight.bytes
        where = ", ".join(f"{size:,} bytes of {what}" for what, size in sizes.most_common(2)) or "no weights"
        return f"Nothing was encoded: the model holds {where}, which no encoding makes smaller."
    if most < worth_bytes:
        return (
            f"Nothing was encoded: at most {most:,} bytes of the model's {stripped.bytes:,} could be saved, "
            "which no start of the function would show."
        )
    return ""
