"""Which requests go out to the endpoint, where the settings leave it to ``pack``: rules, each with its reason.

The figures are those that the gate and the fit have measured anyway. What the small model answers as well as the large
one stays in the function, and goes out for two reasons alone: it would not be done in time, or it cannot be done.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from coldpress.fallback.cascade import Cascade

__all__ = ["Measured", "Proposed", "propose"]

TIME_SHARE = 0.8
"""The share of the time left that a run may be expected to take: the rest is for the way there and back."""


@dataclass(frozen=True)
class Measured:
    """What is known of a model in a function.

    Attributes:
        over: Why it does not fit its target, a sentence; empty where it does.
        identical: Whether the function's model gives the large one's answers, bit for bit.
        cascade: The fitted threshold, None where nothing was fitted; ``no_cascade`` says why not.
        no_cascade: See ``cascade``.
        ms_a_row: What a warm answer takes, in ms a row; None where it was not timed.
        timeout_s: The function's time limit.
        request_bytes: The largest request that its provider lets in.
        row_bytes: What a row takes in a request at the least, in bytes; None where a request holds one row only.
    """

    over: str = ""
    identical: bool = False
    cascade: Cascade | None = None
    no_cascade: str = ""
    ms_a_row: float | None = None
    timeout_s: float = 30.0
    request_bytes: int = 6_291_456
    row_bytes: int | None = None


@dataclass(frozen=True)
class Proposed:
    """A rule and why, in a sentence; ``rule`` is empty where the sentence says why there is none."""

    rule: str
    reason: str


def propose(measured: Measured) -> tuple[Proposed, ...]:
    """Return the rules for ``fallback.when``, those without a rule among them: they say what was thought of."""
    if measured.over:
        return (Proposed("does-not-fit", f"Everything goes out, because {_lowered(measured.over)}"),)
    return (_confidence(measured), *_time(measured), _ERROR)


_ERROR = Proposed(
    "error",
    "What the function's model refuses or breaks on may still be answered by the endpoint; a caller's own mistake "
    "never goes there.",
)


def _confidence(measured: Measured) -> Proposed:
    if measured.identical:
        return Proposed("", "No rule by confidence: the function's model gives the endpoint's answers, bit for bit.")
    cascade = measured.cascade
    if cascade is None:
        return Proposed("", f"No rule by confidence: {_lowered(measured.no_cascade or 'nothing was fitted.')}")
    if cascade.rule is None:
        return Proposed("", f"No rule by confidence: {_lowered(cascade.note)}")
    return Proposed(cascade.rule, cascade.note)


def _time(measured: Measured) -> Iterator[Proposed]:
    """Yield a bound of rows, known before anything ran, and one of time, which sees how long rows take of late."""
    if measured.ms_a_row is None or measured.row_bytes is None:
        return
    limit_ms = TIME_SHARE * measured.timeout_s * 1000
    most = max(1, measured.request_bytes // max(1, measured.row_bytes))
    in_time = math.floor(limit_ms / max(measured.ms_a_row, 1e-6))
    speed = f"a row takes {measured.ms_a_row:.3g} ms"
    if in_time >= most:
        reason = (
            f"No rule by rows or time: {speed}, so even the largest request that gets in, of at most {most:,} rows, is "
            f"done in {TIME_SHARE:.0%} of the {measured.timeout_s:g} s."
        )
        yield Proposed("", reason)
        return
    yield Proposed(
        f"batch > {in_time}",
        f"{speed[0].upper()}{speed[1:]}, so more than {in_time:,} rows would take over {TIME_SHARE:.0%} of the "
        f"{measured.timeout_s:g} s, and up to {most:,} fit a request.",
    )
    yield Proposed(
        f"time > {TIME_SHARE:g}",
        "Rows may take longer than those measured, or begin with little time left: what is expected to take over "
        f"{TIME_SHARE:.0%} of it goes out.",
    )


def _lowered(sentence: str) -> str:
    """Return a sentence as the end of another one."""
    return sentence if sentence[:2].isupper() else sentence[:1].lower() + sentence[1:]
