"""The checks, one a function: what each asks, and the sentence it says."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from coldpress.forms.trial import Trial
from coldpress.gate.comparison import Comparison
from coldpress.gate.kernels import unfolded_weights
from coldpress.gate.metrics import Weighed
from coldpress.gate.statistics import evidence, samples_needed
from coldpress.gate.values import Scores
from coldpress.gate.verdict import Check, Figures, Outcome

__all__ = [
    "LIKENESS",
    "check_bytes",
    "check_cpu",
    "check_decisions",
    "check_kernels",
    "check_latency",
    "check_likeness",
    "check_memory",
    "check_quality",
    "check_shapes",
    "check_signature",
]

LIKENESS = 0.9
"""Mean cosine to the original's answers that every candidate must reach, whatever its metric says.

The crudest encoding, 4 bits everywhere, leaves a sentence encoder at 0.97. Below 0.9 an output is not the original's
with some noise, but another one; a metric that looks at one output of several, or at few samples, need not notice.
"""


def check_bytes(size: int, before: int, most: int | None) -> Check:
    """Ask that the file and its external data are no larger than the original's, nor than ``most``."""
    limit = before if most is None else min(before, most)
    if size <= limit:
        return Check("bytes", "pass", size, limit, f"{size:,} bytes instead of {before:,}.")
    why = f"than the original, {before:,}" if size > before else f"than allowed, {limit:,}"
    return Check("bytes", "fail", size, limit, f"The file is larger, {size:,} bytes, {why}.")


def check_signature(was: Trial, becomes: Trial) -> Check:
    """Ask for the same inputs, outputs and metadata (class names, character sets, licences).

    Sizes of outputs are left out: models declare them as they please, and the answers themselves are compared.
    """
    for side, old, new in (
        ("inputs", was.inputs, becomes.inputs),
        ("outputs", _without_sizes(was.outputs), _without_sizes(becomes.outputs)),
    ):
        if old != new:
            return Check("signature", "fail", note=f"Its {side} are {_told(new)} instead of {_told(old)}.")
    if lost := [key for key, value in was.metadata.items() if becomes.metadata.get(key) != value]:
        return Check("signature", "fail", note=f"The model's metadata {', '.join(lost)} is lost or changed.")
    return Check("signature", "pass", note="Inputs, outputs and metadata are the original's.")


def check_shapes(found: Comparison, count: int, *, judged: bool) -> Iterator[Check]:
    """Ask for the same element types and sizes, and for finite numbers where they were.

    Args:
        found: The answers of both models.
        count: How many.
        judged: Whether labels or a user's function judge the answers: then these judge how many boxes there are, too.
    """
    if found.kind:
        yield Check("shapes", "fail", note=f"Answers are of another kind: {found.kind}.")
    elif found.sizes:
        verdict: Outcome = "pass" if judged else "fail"
        yield Check("shapes", verdict, found.sizes, 0, f"{found.sizes} of {count} answers have other sizes.")
    else:
        yield Check("shapes", "pass", 0, 0, "Every answer has the original's element types and sizes.")
    if found.odd:
        note = f"{found.odd} of {count} answers hold NaN or infinity where the original's are finite."
        yield Check("finite", "fail", found.odd, 0, note)
    else:
        yield Check("finite", "pass", 0, 0, "Every number is finite that was.")


def check_cpu(weights: tuple[str, ...], already: int) -> Check:
    """Ask that no product of bytes can overflow on some CPUs and not on others.

    Args:
        weights: What ``coldpress.gate.kernels.saturating_weights`` gave.
        already: How many such weights the original has: a model that depends on the CPU may stay so.
    """
    if not weights:
        return Check("cpu", "pass", 0, already, "No product of bytes can overflow: every CPU gives the same answers.")
    names = ", ".join(weights[:3]) + (", …" if len(weights) > 3 else "")
    note = (
        f"The answer depends on the CPU: without VNNI, products of {len(weights)} weights of 8 bits ({names}) can "
        "overflow 16 bits on x86; they need 7 bits."
    )
    return Check("cpu", "pass" if len(weights) <= already else "fail", len(weights), already, note)


def check_quality(metric: str, found: Weighed, allowed: float, problem: str) -> tuple[Check, int | None]:
    """Ask that the drop's upper bound is within what is allowed.

    It fails where even the lower bound is beyond, which further samples would not change; what lies between is
    inconclusive. So is what samples with a ``problem`` seem to allow.

    Returns:
        The check, and how many samples would settle an inconclusive one.
    """
    drop, n = found.evidence.drop, found.evidence.n
    lower, upper = found.evidence.bounds()
    bounded = bool(np.isfinite(upper))
    figure = upper if bounded else drop
    if lower > allowed:
        note = (
            f"{metric} drops by {drop:.4g} on {n} samples, by at least {lower:.4g} with 95 % confidence; "
            f"allowed are {allowed:g}."
        )
        return Check("quality", "fail", figure, allowed, note), None
    if problem:
        return Check("quality", "inconclusive", figure, allowed, problem), None
    if upper <= allowed:
        note = f"{metric} drops by {drop:.4g}, at most {upper:.4g} with 95 % confidence."
        return Check("quality", "pass", figure, allowed, note), None
    needed = samples_needed(found.evidence, allowed)
    reach = f"may drop by {upper:.4g} (95 % confidence)" if bounded else "may drop by any amount"
    tell = f"about {needed:,} samples would tell" if needed else "no number of such samples would tell"
    note = f"{metric} drops by {drop:.4g} on {n} samples and {reach}; allowed are {allowed:g}: {tell}."
    return Check("quality", "inconclusive", figure, allowed, note), needed


def check_decisions(shares: Scores, allowed: float | None) -> Check:
    """Report the share of decisions that stay, and refuse where more than ``allowed`` surely change; None: report."""
    share = float(shares.mean())
    note = f"{share:.2%} of {len(shares)} decisions are the original's."
    if allowed is None:
        return Check("decisions", "pass", share, None, note)
    surely, _ = evidence(np.ones(len(shares)), shares, unit=1.0).bounds()
    return Check("decisions", "fail" if surely > allowed else "pass", share, 1 - allowed, note)


def check_likeness(cosines: Scores) -> Check:
    """Ask for the mean cosine ``LIKENESS``."""
    mean = float(cosines.mean())
    if mean < LIKENESS:
        note = f"Answers are not like the original's: their cosine to these is {mean:.3g} on average."
        return Check("likeness", "fail", mean, LIKENESS, note)
    note = f"The cosine to the original's answers is {mean:.6g} on average, and {cosines.min():.6g} at least."
    return Check("likeness", "pass", mean, LIKENESS, note)


def check_kernels(optimized: Path | None) -> Iterator[Check]:
    """Report weights that are dequantised anew for every answer; what that costs, the times tell."""
    if optimized is not None and optimized.is_file() and (count := unfolded_weights(optimized)):
        note = f"{count} weights are dequantised anew for every answer, because ONNX Runtime does not do so in advance."
        yield Check("kernels", "pass", count, None, note)


def check_latency(becomes: Figures, was: Figures, slowdown: float, limit: float, *, within: bool, where: str) -> Check:
    """Ask that warm answers take no longer than allowed; ``where`` says on what machine, if not on the function's."""
    note = f"A warm answer takes {becomes.warm_ms:.3g} ms instead of {was.warm_ms:.3g}{where}."
    return Check("latency", "pass" if within else "fail", slowdown, limit, note)


def check_memory(becomes: Figures, was: Figures, most: float | None) -> Check:
    """Ask that no more than ``most`` MB are resident at the peak; None: report."""
    if becomes.peak_mb is None or was.peak_mb is None:
        verdict: Outcome = "pass" if most is None else "inconclusive"
        return Check("memory", verdict, None, most, "This system does not tell how much memory a process took.")
    note = f"It peaks at {becomes.peak_mb:.0f} MB instead of {was.peak_mb:.0f}"
    if most is not None and becomes.peak_mb > most:
        return Check("memory", "fail", becomes.peak_mb, most, f"{note}; allowed are {most:g}.")
    return Check("memory", "pass", becomes.peak_mb, most, f"{note}.")


def _without_sizes(ports: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((name, text.partition("[")[0]) for name, text in ports)


def _told(ports: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name} {text}" for name, text in ports) or "none"
