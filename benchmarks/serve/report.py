"""results.json -> the table that people read: what must be reached, and every server on every model."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.figures import Row, table, verdict

__all__ = ["markdown", "rows", "summary"]

_PEERS = ("fastapi", "litserve")


def rows(document: Mapping[str, Any]) -> list[Row]:
    """List every figure that must be reached, with what was measured; all are the digits model's."""
    model = document["models"].get("digits")
    return list(_rows(model, document["clients"])) if model else []


def _rows(model: Mapping[str, Any], clients: int) -> Iterator[Row]:
    arms = model["arms"]
    ours = {what: figure["median"] for what, figure in arms["coldpress"].items() if what != "title"}
    for peer, most in (("fastapi", 0.45), ("litserve", 0.2)):
        ratio = ours["cold_ms"] / arms[peer]["cold_ms"]["median"]
        yield Row(f"start to first answer, of {arms[peer]['title']}", f"<= {most:g}", f"{ratio:.2f}", ratio <= most)
    ratio = ours["per_second"] / arms["fastapi"]["per_second"]["median"]
    yield Row(f"requests a second, {clients} callers, of the hand-written", ">= 1", f"{ratio:.2f}", ratio >= 1)
    added = ours["p50_ms"] - model["bare_answer_ms"]
    yield Row("added to an answer by server and adapter", "<= 0.6 ms", f"{added:.2f} ms", added <= 0.6)
    above = ours["cold_ms"] - arms["empty"]["cold_ms"]["median"] - ours["opening_ms"]
    yield Row("start above an empty application, without the engine's", "<= 15 ms", f"{above:.1f} ms", above <= 15)


def markdown(document: Mapping[str, Any]) -> str:
    """Render everything: what must be reached first, then every server, then how it was measured."""
    return "\n".join((*table(rows(document), "figure, digits"), *_servers(document), *_conditions(document))) + "\n"


def summary(document: Mapping[str, Any]) -> str:
    """Render what the README shows."""
    servers = _table(document["models"]["digits"], document["clients"])
    return "\n".join((*servers, "", verdict(rows(document), "serve"))) + "\n"


def _servers(document: Mapping[str, Any]) -> Iterator[str]:
    for model in document["models"].values():
        yield f"**{model['title']}**; an answer without any server takes {model['bare_answer_ms']:.3g} ms"
        yield ""
        yield from _table(model, document["clients"])
        yield ""


def _table(model: Mapping[str, Any], clients: int) -> Iterator[str]:
    heads = ("server", "start to first answer, ms", "p50 / p99, ms", f"requests/s, {clients} callers", "p99, ms", "MB")
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for name, arm in model["arms"].items():
        title = f"**{arm['title']}**" if name == "coldpress" else arm["title"]
        cold = arm["cold_ms"]
        yield (
            f"| {title} | {cold['median']:.0f} [{cold['low']:.0f} to {cold['high']:.0f}] "
            f"| {arm['p50_ms']['median']:.2f} / {arm['p99_ms']['median']:.2f} | {arm['per_second']['median']:,.0f} "
            f"| {arm['p99_busy_ms']['median']:.0f} | {arm['memory_mb']['median']:.0f} |"
        )


def _conditions(document: Mapping[str, Any]) -> Iterator[str]:
    machine, rounds = document["machine"], document["rounds"]
    yield (
        f"Measured {document['date']} on {machine['cpu']}, {machine['cores']} cores; CPython {document['python']}, "
        f"ONNX Runtime {document['engine']}, one thread, one worker. Medians over {rounds['cold']} starts and "
        f"{rounds['warm']} rounds of {rounds['seconds']:g} s, the servers in turn; callers on the same machine, page "
        "cache warm, requests over kept connections. Every server's answer is compared with the plain binding's; "
        "none writes a line of log for it."
    )
