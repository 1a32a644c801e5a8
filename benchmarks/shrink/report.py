"""results.json -> the table that people read: what must be reached, and what every tool made of every model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "markdown", "passes", "rows"]

_OURS = "coldpress"


@dataclass(frozen=True)
class Row:
    """One figure that must be reached."""

    figure: str
    where: str
    must: str
    measured: str
    met: bool


def markdown(document: Mapping[str, Any]) -> str:
    """Render everything: what must be reached first, then every tool on every model, then how it was measured."""
    return "\n".join((*_figures(document), "", *_tools(document), *_conditions(document))) + "\n"


def rows(document: Mapping[str, Any]) -> list[Row]:
    """List every figure that must be reached, with what was measured."""
    return [row for model in document["models"].values() for row in _rows(document, model)]


def _rows(document: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Row]:
    original = model["variants"]["original"]
    for goal in model["goals"]:
        where = f"{model['title']}, {goal['name']}" if goal["name"] else model["title"]
        ours = model["variants"][f"{_OURS} {goal['name']}".strip()]
        if ours["error"]:
            yield Row("a model", where, "made", ours["error"], met=False)
            continue
        if goal["max_mb"]:
            size = ours["bytes"] / 1e6
            yield Row("size", where, f"<= {goal['max_mb']:g} MB", f"{size:.3f} MB", size <= goal["max_mb"])
        else:
            yield Row(
                "never larger",
                where,
                f"<= {original['bytes']:,} bytes",
                f"{ours['bytes']:,} bytes",
                ours["bytes"] <= original["bytes"],
            )
        for check in goal["checks"]:
            value, before = ours["checks"][check["metric"]], original["checks"][check["metric"]]
            must = f">= {before:.4f} - {check['least']:g}" if check["lost"] else f">= {check['least']:g}"
            yield Row(check["title"], where, must, f"{value:.5f}", _reached(check, value, before))
        yield Row("finite answers", where, "all", "all" if ours["finite"] else "not all", ours["finite"])
        faster = original["warm_ms"] / ours["warm_ms"]
        least = 1 / goal["slowdown"]
        yield Row("speed, of the original's", where, f">= {least:.2f}", f"{faster:.2f}", faster >= least)
        if goal["above_floor_mb"]:
            above = ours["peak_mb"] - document["floor_mb"]
            limit = goal["above_floor_mb"]
            yield Row("peak memory above the floor", where, f"<= {limit:g} MB", f"{above:.1f} MB", above <= limit)
        if goal["seconds"]:
            took = ours["seconds"]
            yield Row(
                "time of the search", where, f"<= {goal['seconds']:g} s", f"{took:.0f} s", took <= goal["seconds"]
            )
        if ours["bytes"] == original["bytes"]:
            why = " ".join(ours.get("notes", ()))
            yield Row("unchanged with a reason", where, "a reason", why or "none", bool(why))
        yield _against_peers(document, model, goal, where)


def _against_peers(document: Mapping[str, Any], model: Mapping[str, Any], goal: Mapping[str, Any], where: str) -> Row:
    ours = model["variants"][f"{_OURS} {goal['name']}".strip()]
    original = model["variants"]["original"]
    sizes = {
        document["peers"][name]: variant["bytes"]
        for name, variant in model["variants"].items()
        if name in document["peers"] and passes(goal, variant, original) and variant["bytes"] < original["bytes"]
    }
    if not sizes:
        return Row("smaller than the best passing peer", where, "no peer passes and gains", f"{ours['bytes']:,}", True)
    best = min(sizes, key=lambda name: sizes[name])
    must = f"< {sizes[best]:,} bytes ({best})"
    return Row("smaller than the best passing peer", where, must, f"{ours['bytes']:,}", ours["bytes"] < sizes[best])


def _reached(check: Mapping[str, Any], value: float, original: float) -> bool:
    return value >= (original - check["least"] if check["lost"] else check["least"]) - 1e-9


def passes(goal: Mapping[str, Any], variant: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Say whether a file meets what ours must meet: right, finite, not larger, not slower than the goal allows."""
    return not failures(goal, variant, original)


def failures(goal: Mapping[str, Any], variant: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    """Say why a file does not pass, a few words each; nothing when it does."""
    if variant["error"]:
        return [variant["error"]]
    was, now = original["checks"], variant["checks"]
    found = [
        f"{check['title']} {now[check['metric']]:.4f}"
        for check in goal["checks"]
        if not _reached(check, now[check["metric"]], was[check["metric"]])
    ]
    if not variant["finite"]:
        found.append("not finite")
    if variant["bytes"] > original["bytes"]:
        found.append("larger")
    if variant["warm_ms"] > original["warm_ms"] * goal["slowdown"]:
        found.append("too slow")
    return found


def _figures(document: Mapping[str, Any]) -> Iterator[str]:
    found = rows(document)
    met = sum(row.met for row in found)
    yield f"{met} of {len(found)} figures met."
    yield ""
    yield "| figure | model | must reach | measured | |"
    yield "|---|---|---|---|---|"
    for row in found:
        measured = row.measured.replace("|", "/")
        yield f"| {row.figure} | {row.where} | {row.must} | {measured} | {'met' if row.met else '**missed**'} |"


def _tools(document: Mapping[str, Any]) -> Iterator[str]:
    for model in document["models"].values():
        original = model["variants"]["original"]
        for goal in model["goals"]:
            name = f", {goal['name']}" if goal["name"] else ""
            yield f"**{model['title']}{name}**, {original['bytes']:,} bytes, {model['samples']} samples"
            yield ""
            titles = [check["title"] for check in goal["checks"]]
            yield f"| tool | bytes | of the original | {' | '.join(titles)} | warm ms | peak MB | seconds | passes |"
            yield "|---" * (7 + len(titles)) + "|"
            for key, variant in model["variants"].items():
                title = document["peers"].get(key, key)
                if key.startswith(_OURS):
                    if key != f"{_OURS} {goal['name']}".strip():
                        continue
                    title = "**coldpress shrink**"
                yield _line(title, goal, variant, original)
            yield ""


def _line(title: str, goal: Mapping[str, Any], variant: Mapping[str, Any], original: Mapping[str, Any]) -> str:
    why = [text.replace("|", "/") for text in failures(goal, variant, original)]
    if variant["error"]:
        size = f"{variant['bytes']:,}" if variant["bytes"] else "-"
        return (
            f"| {title} | {size} |" + " |" * (len(goal["checks"]) + 3) + f" {variant['seconds']:.0f} | no: {why[0]} |"
        )
    cells = [
        title,
        f"{variant['bytes']:,}",
        f"{variant['bytes'] / original['bytes']:.3f}",
        *(f"{variant['checks'][check['metric']]:.5f}" for check in goal["checks"]),
        f"{variant['warm_ms']:.2f}",
        f"{variant['peak_mb']:.0f}",
        f"{variant['seconds']:.0f}",
        f"no: {', '.join(why)}" if why else "yes",
    ]
    return "| " + " | ".join(cells) + " |"


def _conditions(document: Mapping[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"Measured {document['date']} on {machine['cpu']}, {machine['cores']} cores, "
        f"{', '.join(machine['instruction_sets'])}; ONNX Runtime {document['engine']}, one thread; "
        f"{document.get('seconds', 0) / 60:.0f} minutes."
    )
    yield ""
    yield (
        "All tools calibrate and tune on the same samples, and all files are judged on the same others by the same "
        "code. Warm ms: the quickest run of the first sample under the plain `onnxruntime` binding, all files in "
        "turn in one process. Peak MB: a fresh process of coldpress's own runtime that opens the file and answers "
        f"once; {document['floor_mb']:g} MB with an empty model."
    )
