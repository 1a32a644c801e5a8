"""What the gate asks, and what it says: limits, checks, and the verdict made of them."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

__all__ = ["Check", "Figures", "Limits", "Outcome", "Verdict"]

Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Limits:
    """What a candidate may cost.

    Attributes:
        max_drop: What the 95 % upper bound of the metric's drop may be.
        max_slowdown: Times the original's that a warm answer may take.
        max_bytes: Of the model's file and its external data; never more than the original's, whatever it says.
        max_peak_mb: Largest resident memory of a process that answers one request, in 10^6 bytes.
    """

    max_drop: float = 0.01
    max_slowdown: float = 1.25
    max_bytes: int | None = None
    max_peak_mb: float | None = None


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: What: ``bytes``, ``opens``, ``signature``, ``shapes``, ``finite``, ``decisions``, ``likeness``,
            ``quality``, ``kernels``, ``cpu``, ``latency``, ``cold start`` or ``memory``.
        verdict: A ``pass`` without a limit is a figure for the record.
        found: The figure, None where there is none.
        limit: What it may be, None where nothing is asked.
        note: For people: what was found, and what to do when it is not well.
    """

    name: str
    verdict: Outcome
    found: float | None = None
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """What one model costs; None where it was not measured.

    Attributes:
        bytes: Of the file and its external data.
        zip_bytes: The same, deflated as a bundle does it.
        cold_ms: To import the engine, load the library, open the model and answer once.
        first_ms: The first answer.
        warm_ms: A later answer, mean over several requests.
        peak_mb: Largest resident memory in 10^6 bytes.
    """

    bytes: int | None = None
    zip_bytes: int | None = None
    cold_ms: float | None = None
    first_ms: float | None = None
    warm_ms: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the gate says of a candidate: ``fail`` if a check failed, else ``inconclusive`` if one was, else ``pass``.

    Attributes:
        metric: Name of the metric.
        original: The metric's value for the original, None where it could not be taken.
        shrunk: The same for the candidate.
        drop: By how much the candidate is worse, in the metric's unit of drop.
        drop_bound: The one-sided 95 % upper confidence bound of that.
        samples: On how many samples.
        samples_needed: About how many would settle an inconclusive verdict at the rate seen; None where none would.
        identical: Whether every answer is the original's, bit for bit.
        cosine: Smallest cosine similarity of an answer to the original's.
        max_rel: Largest error of an element, relative to the largest magnitude of its tensor.
        agreement: Share of decisions that are the original's; None where outputs are no decisions.
        slowdown: Times the original's that a warm answer takes.
        figures: What the candidate costs.
        original_figures: What the original costs.
        checks: In the order they were made; the costly ones are left out once a check failed.
    """

    metric: str
    original: float | None = None
    shrunk: float | None = None
    drop: float | None = None
    drop_bound: float | None = None
    samples: int = 0
    samples_needed: int | None = None
    identical: bool = False
    cosine: float | None = None
    max_rel: float | None = None
    agreement: float | None = None
    slowdown: float | None = None
    figures: Figures = Figures()
    original_figures: Figures = Figures()
    checks: tuple[Check, ...] = ()

    @property
    def verdict(self) -> Outcome:
        """The worst of the checks."""
        found = {check.verdict for check in self.checks}
        return "fail" if "fail" in found else "inconclusive" if "inconclusive" in found else "pass"

    def having(self, *checks: Check) -> "Verdict":
        """Return the verdict with further checks."""
        return replace(self, checks=(*self.checks, *checks))

    @property
    def zip_bytes(self) -> int | None:
        """Bytes of the model in a zip."""
        return self.figures.zip_bytes

    @property
    def why_not(self) -> str:
        """What speaks most against the candidate, in a sentence; empty when it passed."""
        return next((check.note for check in self.checks if check.verdict == self.verdict != "pass"), "")

    def to_json(self) -> dict[str, Any]:
        """Return the object that reports hold: what is not finite is null; the original's costs begin ``original_``."""
        document = {
            "verdict": self.verdict,
            "metric": self.metric,
            "original": self.original,
            "shrunk": self.shrunk,
            "drop": self.drop,
            "drop_bound": self.drop_bound,
            "samples": self.samples,
            "samples_needed": self.samples_needed,
            "identical": self.identical,
            "cosine": self.cosine,
            "max_rel": self.max_rel,
            "agreement": self.agreement,
            "slowdown": self.slowdown,
            **asdict(self.figures),
            **{f"original_{name}": value for name, value in asdict(self.original_figures).items()},
            "checks": [{name: _finite(value) for name, value in asdict(check).items()} for check in self.checks],
        }
        return {name: _finite(value) for name, value in document.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
