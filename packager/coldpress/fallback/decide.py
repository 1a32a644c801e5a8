"""What ``pack`` makes of ``[fallback]``: the rules that ship, why, and what the cascade among them is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.console import progress
from coldpress.errors import SamplesError
from coldpress.fallback.both import Both, ask_both
from coldpress.fallback.cascade import Cascade, fit_threshold
from coldpress.fallback.price import CascadePrice, cascade_price
from coldpress.fallback.propose import Measured, Proposed, propose
from coldpress.fallback_config import FallbackConfig
from coldpress.gate.metrics import resolve_metric
from coldpress.samples.sample_set import SampleSet
from coldpress.signature import Signature

__all__ = ["Decision", "Question", "decide"]

_FITTED = "confidence"
"""The rule that asks for a threshold, which has none yet."""


@dataclass(frozen=True)
class Question:
    """All that a decision is made from.

    Attributes:
        small: The function's model; ``large`` the endpoint's.
        exact: Whether the small one gives the large one's answers, bit for bit.
        signature: Of both.
        samples: The user's; made-up ones tell nothing and are not to be given: then None.
        metric: The user's, None for the usual one.
        max_drop: What the metric may lose.
        library: ONNX Runtime's.
        warm_ms: What the gate measured for a warm answer, None where it did not.
        over: Why the function does not fit, a sentence, or empty.
        request_bytes: The largest request that the provider lets in.
    """

    small: Path
    large: Path
    exact: bool
    signature: Signature
    samples: SampleSet | None
    metric: str | None
    max_drop: float
    library: Path
    target: str
    architecture: str
    memory_mb: int
    timeout_s: int
    threads: int
    request_bytes: int
    warm_ms: float | None = None
    over: str = ""


@dataclass(frozen=True)
class Decision:
    """The rules for ``fallback.when`` of the manifest, each with its reason, and what was measured for them.

    ``proposed`` is empty where the settings name all rules; ``output`` is the one that a confidence is read from.
    """

    when: tuple[str, ...]
    proposed: tuple[Proposed, ...] = ()
    cascade: Cascade | None = None
    price: CascadePrice | None = None

    @property
    def output(self) -> str | None:
        """The output that holds the probabilities of classes, where a rule looks at them."""
        return self.cascade.output if self.cascade else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know, a sentence each."""
        told = [f"Goes out: {each.rule}. {each.reason}" if each.rule else each.reason for each in self.proposed]
        if self.cascade and not self.proposed:
            told.append(self.cascade.note)
        if self.price:
            told.append(_price_note(self.price))
        return tuple(told)

    def to_json(self) -> dict[str, Any]:
        """Return the object that reports hold under ``fallback``."""
        return {
            "when": list(self.when),
            "proposed": [{"rule": each.rule, "reason": each.reason} for each in self.proposed],
            "cascade": self.cascade.to_json() if self.cascade else None,
            "price": self.price.to_json() if self.price else None,
        }


def decide(config: FallbackConfig, question: Question) -> Decision:
    """Fit the threshold where one is asked for, and propose the rules where none is named.

    Raises:
        SamplesError: A threshold is to be fitted, and the samples do not say where it lies.
    """
    wanted = _FITTED in config.when
    if config.when and not wanted:
        return Decision(config.when)
    cascade, both, why_not = None, None, ""
    if not question.over and not question.exact:
        try:
            cascade, both = _fit(config, question)
        except SamplesError as error:
            if wanted:
                raise
            why_not = str(error)
    price = _price(config, question, cascade, both)
    if wanted:
        return Decision(_with_threshold(config.when, cascade), (), cascade, price)
    proposed = propose(
        Measured(
            over=question.over,
            identical=question.exact,
            cascade=cascade,
            no_cascade=why_not,
            ms_a_row=both.small_ms if both else question.warm_ms,
            timeout_s=question.timeout_s,
            request_bytes=question.request_bytes,
            row_bytes=_row_bytes(question.signature, question.samples),
        )
    )
    return Decision(tuple(each.rule for each in proposed if each.rule), proposed, cascade, price)


def _fit(config: FallbackConfig, question: Question) -> tuple[Cascade, Both]:
    samples = question.samples
    if samples is None:
        raise SamplesError(
            "There are no samples to fit a threshold of confidence on; give some hundreds, with labels, by --samples."
        )
    labelled = samples.labels is not None
    # A cosine sees how alike numbers are; of a cascade it matters which class is answered.
    metric = resolve_metric(question.metric or (None if labelled else "agreement"), labelled)
    with progress(f"ask {question.small.name} and {question.large.name}, and fit the threshold"):
        both = ask_both(question.small, question.large, samples, library=question.library, threads=question.threads)
        cascade = fit_threshold(
            both.small,
            both.large,
            samples.labels,
            metric,
            max_drop=question.max_drop,
            max_escalated=config.max_escalated,
            output=config.output or None,
        )
    return cascade, both


def _with_threshold(when: Sequence[str], cascade: Cascade | None) -> tuple[str, ...]:
    """Put the fitted rule in its place; where no second opinion is needed there is none, and errors alone go out."""
    if cascade is not None and cascade.chosen is None:
        raise SamplesError(
            f"No threshold of confidence could be fitted. {cascade.note} Give more samples, allow more "
            "(`fallback.max_escalated`, `samples.max_drop`), or name a threshold yourself, such as confidence < 0.6."
        )
    rule = cascade.rule if cascade else None
    rules = tuple(filter(None, (rule if each == _FITTED else each for each in when)))
    return rules or ("error",)


def _price(
    config: FallbackConfig, question: Question, cascade: Cascade | None, both: Both | None
) -> CascadePrice | None:
    if cascade is None or cascade.rule is None or cascade.chosen is None or both is None:
        return None
    return cascade_price(
        question.target,
        question.architecture,
        question.memory_mb,
        config.endpoint,
        small_ms=both.small_ms,
        large_ms=both.large_ms,
        escalated=cascade.chosen.escalated,
    )


def _row_bytes(signature: Signature, samples: SampleSet | None) -> int | None:
    """Return the bytes of a row of the first sample; None where a request cannot hold several."""
    if samples is None or any(port.kind != "tensor" or not port.shape for port in signature.inputs):
        return None
    if any(isinstance(port.shape[0], int) for port in signature.inputs if port.shape):
        return None
    request: Mapping[str, Any] = samples.requests[0]
    return int(sum(value.nbytes // max(1, len(value)) for value in request.values()))


def _price_note(price: CascadePrice) -> str:
    money = price.currency
    told = (
        f"A million requests cost {price.function:.2f} {money} in the function and {price.waiting:.2f} for its waiting "
        "(the way there and back comes on top)"
    )
    if price.endpoint is None or price.endpoint_alone is None:
        return f"{told}; what this kind of endpoint costs is not known here."
    told += (
        f", and {price.endpoint:.2f} at the endpoint for those that go out; the endpoint alone would take "
        f"{price.endpoint_alone:.2f} if it were busy all the time"
    )
    if price.break_even is None:
        return f"{told}, and one that is always up never costs less than the cascade."
    return f"{told}, and one that is always up costs no more from {price.break_even:,} requests a month on."
