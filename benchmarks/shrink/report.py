"""results.json -> the table that people read: what must be reached, and what every tool made of every model."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.figures import Row, table, verdict

__all__ = ["failures", "markdown", "passes", "rows", "summary"]

_OURS = "coldpress"


def markdown(document: Mapping[str, Any]) -> str:
    """Render everything: what must be reached first, then every tool on every model, then how it was measured."""
    return "\n".join((*table(rows(document)), *_tools(document), *_conditions(document))) + "\n"


def summary(document: Mapping[str, Any]) -> str:
    """Render what the README shows: each model before and after, beside the best that another tool made of it."""
    lines = ["| model | MB before | MB after | | best of the others that is right | warm answer | answers |"]
    lines.append("|---|---|---|---|---|---|---|")
    for model in document["models"].values():
        original = model["variants"]["original"]
        for goal in model["goals"]:
            ours = model["variants"][f"{_OURS} {goal['name']}".strip()]
            title = f"{model['title']}, {goal['name']}" if goal["name"] else model["title"]
            before = f"{original['bytes'] / 1e6:.2f}"
            if ours["error"]:
                lines.append(f"| {title} | {before} | - | | | | {ours['error']} |")
                continue
            peer, size = _best_peer(document, model, goal)
            kept = ", ".join(f"{check['title']} {ours['checks'][check['title']]:.4g}" for check in goal["checks"])
            lines.append(
                f"| {title} | {before} | **{ours['bytes'] / 1e6:.2f}** | {ours['bytes'] / original['bytes']:.0%} "
                f"| {_short(peer, size)} | {ours['warm_ms'] / original['warm_ms']:.2f} x | {kept} |"
            )
    return "\n".join((*lines, "", verdict(rows(document), "shrink"))) + "\n"


def _short(peer: str, size: float) -> str:
    """Say the best of the other tools in few words."""
    return f"{size / 1e6:.2f}, {peer.partition('(')[2].rstrip(')')}" if size < float("inf") else "none"


def rows(document: Mapping[str, Any]) -> list[Row]:
    """List every figure that must be reached, with what was measured."""
    return [row for model in document["models"].values() for row in _rows(document, model)]


def _rows(document: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[Row]:
    for goal in model["goals"]:
        where = f"{model['title']}, {goal['name']}" if goal["name"] else model["title"]
        ours = model["variants"][f"{_OURS} {goal['name']}".strip()]
        for figure, must, measured, met in _goal(document, model, goal, ours):
            if ours["error"]:
                yield Row(figure, must, ours["error"], met=False, where=where)
            else:
                yield Row(figure, must, measured(), met(), where)


_Figure = tuple[str, str, Callable[[], str], Callable[[], bool]]


def _goal(
    document: Mapping[str, Any], model: Mapping[str, Any], goal: Mapping[str, Any], ours: Mapping[str, Any]
) -> Iterator[_Figure]:
    """Yield each figure of a goal: what it is, what it must reach, what was measured, and whether that reaches it.

    The last two are asked only where there is a file.
    """
    original = model["variants"]["original"]
    limit = goal["max_mb"] * 1e6 if goal["max_mb"] else original["bytes"]
    weighs = f"{ours['bytes'] / 1e6:.3f} MB"
    yield ("size", f"<= {limit / 1e6:.6g} MB", lambda: weighs, lambda: ours["bytes"] <= limit)
    for check in goal["checks"]:
        before = original["checks"][check["title"]]
        must = f">= {before:.4f} - {check['least']:g}" if check["lost"] else f">= {check['least']:g}"
        yield (
            check["title"],
            must,
            lambda check=check: f"{ours['checks'][check['title']]:.5f}",
            lambda check=check, before=before: _reached(check, ours["checks"][check["title"]], before),
        )
    yield ("finite answers", "all", lambda: "all" if ours["finite"] else "not all", lambda: ours["finite"])
    least = 1 / goal["slowdown"]
    yield (
        "speed, in times of the original's",
        f">= {least:.2f}",
        lambda: f"{original['warm_ms'] / ours['warm_ms']:.2f}",
        lambda: original["warm_ms"] / ours["warm_ms"] >= least,
    )
    if most := goal["above_floor_mb"]:
        above = ours.get("peak_mb", 0) - document["floor_mb"]
        yield ("peak memory above the floor", f"<= {most:g} MB", lambda: f"{above:.1f} MB", lambda: above <= most)
    if most_s := goal["seconds"]:
        took = ours["seconds"]
        yield ("time of the search", f"<= {most_s:g} s", lambda: f"{took:.0f} s", lambda: took <= most_s)
    if ours["bytes"] == original["bytes"]:
        why = " ".join(ours.get("notes", ()))
        yield ("unchanged with a reason", "a reason", lambda: why or "none", lambda: bool(why))
    must, best = _best_peer(document, model, goal)
    size = ours["bytes"]
    yield ("smaller than the best passing peer", must, lambda: f"{size:,} bytes", lambda: size < best)


def _best_peer(document: Mapping[str, Any], model: Mapping[str, Any], goal: Mapping[str, Any]) -> tuple[str, float]:
    """Return what the smallest file of a peer that passes weighs, in words and in bytes; infinite when none gains."""
    original = model["variants"]["original"]
    sizes = {
        document["peers"][name]: variant["bytes"]
        for name, variant in model["variants"].items()
        if name in document["peers"] and passes(goal, variant, original) and variant["bytes"] < original["bytes"]
    }
    if not sizes:
        return "no peer passes and is smaller", float("inf")
    best = min(sizes, key=lambda name: sizes[name])
    return f"< {sizes[best]:,} bytes ({best})", sizes[best]


def _reached(check: Mapping[str, Any], value: float, original: float) -> bool:
    return value >= (original - check["least"] if check["lost"] else check["least"]) - 1e-9


def passes(goal: Mapping[str, Any], variant: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Say whether a file is right, finite and not larger; how fast it is does not matter here."""
    return not failures(goal, variant, original)


def failures(goal: Mapping[str, Any], variant: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    """Say why a file does not pass, a few words each; nothing when it does."""
    if variant["error"]:
        return [variant["error"]]
    was, now = original["checks"], variant["checks"]
    found = [
        f"{check['title']} {now[check['title']]:.4f}"
        for check in goal["checks"]
        if not _reached(check, now[check["title"]], was[check["title"]])
    ]
    if not variant["finite"]:
        found.append("not finite")
    if variant["bytes"] > original["bytes"]:
        found.append("larger")
    return found


def _tools(document: Mapping[str, Any]) -> Iterator[str]:
    for model in document["models"].values():
        original = model["variants"]["original"]
        for goal in model["goals"]:
            name = f", {goal['name']}" if goal["name"] else ""
            yield f"**{model['title']}{name}**, {original['bytes']:,} bytes, {model['samples']} samples"
            yield ""
            checks = [check["title"] for check in goal["checks"]]
            heads = ["tool", "bytes", "of the original", *checks, "warm ms", "speed", "peak MB", "seconds", "passes"]
            yield f"| {' | '.join(heads)} |"
            yield "|---" * len(heads) + "|"
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
            f"| {title} | {size} |" + " |" * (len(goal["checks"]) + 4) + f" {variant['seconds']:.0f} | no: {why[0]} |"
        )
    cells = [
        title,
        f"{variant['bytes']:,}",
        f"{variant['bytes'] / original['bytes']:.3f}",
        *(f"{variant['checks'][check['title']]:.5f}" for check in goal["checks"]),
        f"{variant['warm_ms']:.3g}",
        f"{original['warm_ms'] / variant['warm_ms']:.2f}",
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
        "code. A file passes that is right, finite and not larger, however slow it is. Warm ms: the quickest run of "
        "the first sample under the plain `onnxruntime` binding, all files in turn in one process. Peak MB: a fresh "
        "process of coldpress's own runtime that opens the file and answers "
        f"once; {document['floor_mb']:g} MB with an empty model."
    )
