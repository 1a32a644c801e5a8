"""Of a report's document: what goes out to an endpoint, the thresholds that were tried, and what that costs."""

from dataclasses import dataclass

from coldpress.report.parts import Part

__all__ = ["Cascade", "Fallback", "Threshold", "read_fallback"]


@dataclass(frozen=True)
class Rule:
    """A rule and why; ``rule`` is empty where the sentence says why there is none."""

    rule: str
    reason: str


@dataclass(frozen=True)
class Threshold:
    """A threshold of confidence that was tried, the share of rows it escalates, and the metric of the mixture."""

    threshold: float
    escalated: float
    metric: float
    drop_bound: float | None
    verdict: str
    chosen: bool


@dataclass(frozen=True)
class Cascade:
    """A small model with a large one behind it; ``floor`` is the metric that must be reached, None where it is none."""

    verdict: str
    note: str
    metric: str
    small: float
    large: float
    floor: float | None
    samples: int
    max_escalated: float
    thresholds: tuple[Threshold, ...]

    @property
    def chosen(self) -> Threshold | None:
        """The threshold that ships."""
        return next((each for each in self.thresholds if each.chosen), None)


@dataclass(frozen=True)
class Price:
    """A million requests: what the function takes, what it takes to wait, and the endpoint; None: not known."""

    currency: str
    function: float
    waiting: float
    endpoint: float | None
    endpoint_alone: float | None
    always_on: float | None
    break_even: int | None
    machine: str


@dataclass(frozen=True)
class Fallback:
    """What goes out, and what that costs."""

    when: tuple[str, ...]
    rules: tuple[Rule, ...]
    cascade: Cascade | None
    price: Price | None


def read_fallback(part: Part) -> Fallback:
    """Check ``fallback`` and return it as a record.

    Raises:
        TemplateError: A value is missing, or is not what the page can show; the message says where.
    """
    cascade, price = part.maybe("cascade"), part.maybe("price")
    return Fallback(
        part.texts("when"),
        tuple(Rule(each.text("rule"), each.text("reason")) for each in part.parts("proposed")),
        _cascade(cascade) if cascade else None,
        _price(price) if price else None,
    )


def _cascade(part: Part) -> Cascade:
    chosen, large = part.maybe("chosen"), part.number("large")
    at = chosen.number("threshold") if chosen else None
    floor = large - part.number("max_drop") if part.text("direction") == "higher" else None
    return Cascade(
        verdict=part.text("verdict"),
        note=part.text("note"),
        metric=part.text("metric"),
        small=part.number("small"),
        large=large,
        floor=floor,
        samples=part.count("samples"),
        max_escalated=part.number("max_escalated"),
        thresholds=tuple(
            Threshold(
                each.number("threshold"),
                each.number("escalated"),
                each.number("metric"),
                each.number("drop_bound", None),
                each.text("verdict"),
                each.number("threshold") == at,
            )
            for each in part.parts("points")
        ),
    )


def _price(part: Part) -> Price:
    hour = part.maybe("hour")
    return Price(
        part.text("currency"),
        part.number("function"),
        part.number("waiting"),
        part.number("endpoint", None),
        part.number("endpoint_alone", None),
        part.number("always_on", None),
        part.count("break_even", None),
        hour.text("what") if hour else "",
    )
