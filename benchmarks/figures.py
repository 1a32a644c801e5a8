"""Figures that must be reached, each beside what was measured: as a table, and as one line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Row", "table", "verdict"]


@dataclass(frozen=True)
class Row:
    """One figure that must be reached.

    Attributes:
        figure: what was measured.
        must: what it has to be, in words.
        measured: what it was, in words.
        met: whether that is enough.
        where: the model it was measured on, where there are several.
    """

    figure: str
    must: str
    measured: str
    met: bool
    where: str = ""


def table(rows: Sequence[Row], head: str = "figure") -> Iterator[str]:
    """Yield how many figures were met, a line each, and an empty line; nothing without figures.

    Args:
        rows: the figures; with ``where`` in any of them there is a column for it.
        head: what stands above the figures.
    """
    if not rows:
        return
    models = any(row.where for row in rows)
    yield f"{_met(rows)} figures met."
    yield ""
    yield f"| {head} |{' model |' * models} must reach | measured | |"
    yield "|---" * (4 + models) + "|"
    for row in rows:
        where = f" {row.where} |" * models
        must, measured = (text.replace("|", "/") for text in (row.must, row.measured))
        yield f"| {row.figure} |{where} {must} | {measured} | {'met' if row.met else '**missed**'} |"
    yield ""


def verdict(rows: Sequence[Row], benchmark: str) -> str:
    """Return the line below what the README shows of ``benchmark``, a folder of this package."""
    return (
        f"{_met(rows)} figures that had to be reached were: [the whole table](benchmarks/{benchmark}/results.md), "
        f"measured by `make bench-{benchmark}`."
    )


def _met(rows: Sequence[Row]) -> str:
    return f"{sum(row.met for row in rows)} of {len(rows)}"
