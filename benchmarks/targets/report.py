"""results.json -> the tables that people read, with the limits marked."""

from collections.abc import Iterator
from typing import Any

from benchmarks.report import Target, reached

__all__ = ["figures", "markdown", "summary"]

_OWN_START = "start above the provider's empty function, less the engine's part"
_ADDED = "warm answer above the service alone"
_HTTP = "the same under uvicorn, over HTTP"
_BYTES = "bundle without the model, zipped, beside AWS's"
_FIGURES = (_OWN_START, _ADDED, _HTTP, _BYTES)


def figures(document: dict[str, Any]) -> list[Target]:
    """List every figure that must be reached, with the value measured for it."""
    return list(_figures(document))


def _figures(document: dict[str, Any]) -> Iterator[Target]:
    targets = document["targets"]
    plain = targets.get("aws", {}).get("bytes", {}).get("zipped")
    for name, found in targets.items():
        yield Target(_OWN_START, name, found["own_start_ms"]["median"], 15, "ms")
        yield Target(_ADDED, name, found["added_ms"]["median"], 0.15, "ms")
        if "http_added_ms" in found:
            yield Target(_HTTP, name, found["http_added_ms"]["median"], 0.6, "ms")
        if plain is not None and name != "aws":
            yield Target(_BYTES, name, abs(found["bytes"]["zipped"] - plain) / 1e6, 1, "MB")


def markdown(document: dict[str, Any]) -> str:
    """Render everything: what must be reached, then all that was measured, then how."""
    return "\n".join((*_grid(document), "", *_details(document), "", *_conditions(document))) + "\n"


def summary(document: dict[str, Any]) -> str:
    """Render what the README shows."""
    return "\n".join((*_grid(document), "", *_conditions(document))) + "\n"


def _grid(document: dict[str, Any]) -> Iterator[str]:
    """Yield a row for each figure and a column for each target."""
    targets = document["targets"]
    found = {(figure.what, figure.where): figure for figure in figures(document)}
    yield "| figure | " + " | ".join(each["title"] for each in targets.values()) + " |"
    yield "|---" * (len(targets) + 1) + "|"
    for what in _FIGURES:
        yield f"| {what} | " + " | ".join(reached(found.get((what, name))) for name in targets) + " |"


def _details(document: dict[str, Any]) -> Iterator[str]:
    yield (
        "| target | Python | empty function ms | init ms | of it the engine ms | init and first answer above the empty "
        "function ms | the service ms | under the adapter ms | MB unzipped / zipped |"
    )
    yield "|---" * 9 + "|"
    for each in document["targets"].values():
        size = each["bytes"]
        yield (
            f"| {each['title']} | {each['python']} | {_range(each['empty_init_ms'])} | {_range(each['init_ms'])} "
            f"| {each['engine_ms']['median']:.1f} | {_range(each['cold_above_empty_ms'])} "
            f"| {each['service_ms']['median']:.3f} | {each['adapter_ms']['median']:.3f} "
            f"| {size['unzipped'] / 1e6:.1f} / {size['zipped'] / 1e6:.1f} |"
        )
    for each in document["targets"].values():
        if "http_ms" in each:
            yield ""
            yield (
                f"{each['title']}, over one connection: {each['http_ms']['median']:.3f} ms an answer, "
                f"{each['empty_http_ms']['median']:.3f} ms of the empty application."
            )


def _range(spread: dict[str, float]) -> str:
    return f"{spread['median']:.0f} [{spread['low']:.0f}-{spread['high']:.0f}]"


def _conditions(document: dict[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"Measured by `make bench` on {document['date']} with the digits model: {machine['cores']} cores of "
        f"{machine['cpu']}; {document['rounds']} rounds, each starting every function and its provider's empty one in "
        f"fresh processes under the provider's own runtime, in turn; {document['calls']} warm answers a process, the "
        "service and the adapter in turn, the adapter called with what its provider's runtime hands over. Medians; "
        "differences are paired. The engine's part of a start: its library, the session, the warm-up."
    )
