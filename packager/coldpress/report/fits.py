"""Of a report's document: how a bundle fits its target, and what requests cost there."""

from dataclasses import dataclass

from coldpress.report.parts import Part

__all__ = ["Fit", "Price", "Use", "read_fit"]


@dataclass(frozen=True)
class Use:
    """A provider's limit and what is used of it; ``name`` ends in its unit: bytes, mb or s."""

    name: str
    what: str
    limit: float
    used: float | None
    soft: bool


@dataclass(frozen=True)
class Price:
    """What a million requests a month cost in one size of instance, at list prices of a date in a region."""

    per_million: float
    currency: str
    region: str
    memory_mb: int
    as_of: str


@dataclass(frozen=True)
class Fit:
    """Whether the bundle fits a target, and what requests cost there, if that can be told."""

    target: str
    verdict: str
    limits: tuple[Use, ...]
    price: Price | None


def read_fit(part: Part) -> Fit:
    """Check one entry of ``fit`` and return it as a record.

    Raises:
        TemplateError: A value is missing, or is not what the page can show; the message says where.
    """
    uses = tuple(map(_use, part.parts("limits")))
    price = part.maybe("price")
    return Fit(part.text("target"), part.text("verdict"), uses, _price(price) if price else None)


def _use(part: Part) -> Use:
    return Use(
        part.text("name"),
        part.text("what", ""),
        part.number("limit"),
        part.number("used", None),
        part.flag("soft", False),
    )


def _price(part: Part) -> Price:
    return Price(
        part.number("per_million"),
        part.text("currency"),
        part.text("region"),
        part.count("memory_mb"),
        part.text("as_of"),
    )
