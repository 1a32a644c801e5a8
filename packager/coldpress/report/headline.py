"""The first thing a reader sees: how much smaller, whether it is still right, and what that costs."""

from dataclasses import dataclass

from coldpress.report.document import Candidate, Document, Verdict
from coldpress.report.words import bytes_text, figure, metric_value, milliseconds, shorten, times

__all__ = ["Headline", "Tile", "headline"]


@dataclass(frozen=True)
class Tile:
    """One figure with what it is, and a line about where it comes from."""

    what: str
    value: str
    note: str


@dataclass(frozen=True)
class Headline:
    """``tone`` is ``pass``, ``fail``, ``inconclusive`` or ``plain``; ``ratio`` is empty where nothing got smaller."""

    before: str
    after: str
    ratio: str
    tone: str
    verdict: str
    sentence: str
    tiles: tuple[Tile, ...]


def headline(document: Document) -> Headline:
    """Put the report in a few words."""
    chosen = document.chosen
    before = bytes_text(document.model_bytes)
    if chosen is None:
        return Headline(before, "", "", "fail", "nothing ships", _none(document), ())
    smaller = document.model_bytes / chosen.bytes if chosen.bytes else 0.0
    ratio = f"{times(smaller)} smaller" if smaller >= 1.005 else ""
    tone, verdict = _verdict(chosen)
    tiles = _tiles(document, chosen.verdict) if chosen.verdict else ()
    return Headline(before, bytes_text(chosen.bytes), ratio, tone, verdict, _sentence(document, chosen), tiles)


def _none(document: Document) -> str:
    smallest = min((c.bytes for c in document.candidates if c.accepted or c.original), default=None)
    if smallest is None:
        return "No candidate was made."
    if document.max_bytes is not None and smallest > document.max_bytes:
        return (
            f"The smallest model that is still right takes {bytes_text(smallest)}; "
            f"the budget is {bytes_text(document.max_bytes)}."
        )
    return "No candidate passed every check."


def _verdict(chosen: Candidate) -> tuple[str, str]:
    verdict = chosen.verdict
    if chosen.original:
        return "plain", "unchanged"
    if verdict is None:
        return ("plain", "lossless") if _exact(chosen) else ("inconclusive", "not measured")
    if verdict.verdict != "pass":
        return ("fail", "failed") if verdict.verdict == "fail" else ("inconclusive", "inconclusive")
    return "pass", "the same answers" if verdict.identical else "still right"


def _exact(chosen: Candidate) -> bool:
    return not set(chosen.recipe) - {"strip"}


def _sentence(document: Document, chosen: Candidate) -> str:
    verdict = chosen.verdict
    if chosen.original:
        return "Nothing smaller is as right, so the model stays as it is."
    if verdict is None and _exact(chosen):
        return "Only passes that change no answer ran, and no samples were given to try more."
    if verdict is None:
        return "No samples were given: the size of each error is bounded, what it does to answers was not measured."
    metric = shorten(verdict.metric, 60)
    on = f"on {verdict.samples:,} sample{'s' if verdict.samples != 1 else ''}"
    if verdict.verdict == "pass" and verdict.identical:
        return f"Every answer is the original's, bit for bit, {on}."
    if verdict.verdict == "pass" and verdict.drop_bound is not None:
        return (
            f"With 95 % confidence {metric} falls by no more than {figure(max(0.0, verdict.drop_bound))} {on}; "
            f"{figure(document.max_drop)} is allowed."
        )
    if verdict.verdict == "inconclusive" and verdict.samples_needed:
        return f"Nothing was found wrong {on}; about {verdict.samples_needed:,} would settle it."
    return chosen.why_not or f"Every check passed {on}."


def _tiles(document: Document, verdict: Verdict) -> tuple[Tile, ...]:
    original = document.candidates[0].verdict
    now, then = verdict.figures, original.figures if original else verdict.original_figures
    tiles = []
    if verdict.original is not None and verdict.shrunk is not None:
        kept = f"{metric_value(verdict.original)} before"
        if verdict.drop_bound is not None:
            kept += f"; a drop of {figure(max(0.0, verdict.drop_bound))} at most, {figure(document.max_drop)} allowed"
        tiles.append(Tile(verdict.metric, metric_value(verdict.shrunk), kept))
    if now["warm_ms"] is not None:
        slower = _pace(verdict.slowdown)
        note = "" if then["warm_ms"] is None else f"{milliseconds(then['warm_ms'])} before{slower}"
        tiles.append(Tile("warm answer", milliseconds(now["warm_ms"]), note))
    if now["peak_mb"] is not None:
        note = "" if then["peak_mb"] is None else f"{figure(then['peak_mb'])} MB before"
        tiles.append(Tile("peak memory", f"{figure(now['peak_mb'])} MB", note))
    if now["cold_ms"] is not None:
        note = "" if then["cold_ms"] is None else f"{milliseconds(then['cold_ms'])} before"
        tiles.append(Tile("cold start", milliseconds(now["cold_ms"]), note))
    if now["zip_bytes"] is not None:
        note = "" if then["zip_bytes"] is None else f"{bytes_text(then['zip_bytes'])} before"
        tiles.append(Tile("model, zipped", bytes_text(now["zip_bytes"]), note))
    return tuple(tiles)


def _pace(slowdown: float | None) -> str:
    """Say how much faster or slower, where it is more than the noise of a clock."""
    if not slowdown or 0.95 < slowdown < 1.05:
        return ""
    return f"; {times(slowdown)} the time" if slowdown > 1 else f"; {times(1 / slowdown)} faster"
