"""results.json -> the table that people read: what must be reached, and every server beside the endpoint."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.figures import Row, table, verdict

__all__ = ["markdown", "rows", "summary"]

_LEAST = {"litserve": 4.0, "bentoml": 4.0, "mlserver": 2.5}
_POINTS, _SHARE = 0.2, 0.2


def rows(document: Mapping[str, Any]) -> list[Row]:
    """List every figure that must be reached, with what was measured; none of a part that was not."""
    makers = {
        "door": _door,
        "digits": _digits,
        "magika": _magika,
        "batching": _batching,
        "cascade": _cascade,
        "faults": _faults,
        "weights": _weights,
    }
    parts = document["parts"]
    found = [row for name, make in makers.items() if name in parts for row in make(parts[name])]
    return [*found, *(_gpu(document["gpu"]) if document["gpu"] else ())]


def _door(part: Mapping[str, Any]) -> Iterator[Row]:
    added, p99 = part["added_ms"]["median"], part["added_p99_ms"]["median"]
    yield Row("added by the door to a direct call, median", "<= 1.5 ms", f"{added:.2f} ms", added <= 1.5)
    yield Row("the same, 99th percentile", "<= 4 ms", f"{p99:.2f} ms", p99 <= 4)


def _digits(part: Mapping[str, Any]) -> Iterator[Row]:
    arms, clients = part["arms"], part["clients"]
    ours, hand = arms["coldpress"], arms.get("fastapi")
    if hand:
        ratio = ours["per_second"]["median"] / hand["per_second"]["median"]
        yield Row(f"requests/s, {clients} clients, of the hand-written", ">= 1", f"{ratio:.2f}", ratio >= 1, "digits")
        p99, theirs = ours["p99_ms"]["median"], hand["p99_ms"]["median"]
        what = "99th percentile, against the hand-written"
        yield Row(what, f"<= {theirs:.1f} ms", f"{p99:.1f} ms", p99 <= theirs, "digits")
    for name, least in _LEAST.items():
        if name in arms:
            ratio = ours["per_second"]["median"] / arms[name]["per_second"]["median"]
            what = f"requests/s, {clients} clients, of {arms[name]['title']}"
            yield Row(what, f">= {least:g}", f"{ratio:.1f}", ratio >= least, "digits")


def _magika(part: Mapping[str, Any]) -> Iterator[Row]:
    arms = part["arms"]
    rates = {name: arm["per_second"]["median"] for name, arm in arms.items()}
    best = max((name for name in rates if name != "coldpress"), key=rates.__getitem__)
    ratio = rates["coldpress"] / rates[best]
    what = f"requests/s, {part['threads']} threads, of the best with one ({arms[best]['title']})"
    yield Row(what, ">= 1.9", f"{ratio:.2f}", ratio >= 1.9, "magika")


def _batching(part: Mapping[str, Any], least: float = 1.5, where: str = "CPU") -> Iterator[Row]:
    ratio = _worth(part)
    what = f"dynamic batching against none, {part['clients']} clients, {where}"
    yield Row(what, f">= {least:g}", f"{ratio:.2f}", ratio >= least, "MiniLM")


def _cascade(part: Mapping[str, Any]) -> Iterator[Row]:
    points = round(100 * (part["large"] - part["cascade"]), 6)
    what = "cascade's accuracy below the larger model's, in points"
    yield Row(what, f"<= {_POINTS:g}", f"{points:.2f}", points <= _POINTS, "MNIST-5k")
    share = part["escalated"]
    yield Row("escalated for that", f"<= {_SHARE:.0%}", f"{share:.1%}", share <= _SHARE, "MNIST-5k")


def _faults(part: Mapping[str, Any]) -> Iterator[Row]:
    asked = f"{part['questions']:,} requests under faults"
    crashes = part["outcomes"].get("crash", 0)
    yield Row(f"{asked}: wrong answers", "0", str(part["wrong"]), not part["wrong"], "digits")
    yield Row("crashes", "0", str(crashes), not crashes, "digits")
    late, allowed = part["latest_ms_after_deadline"], part["late_ms_allowed"]
    yield Row("latest after its deadline", f"<= {allowed:g} ms", f"{max(0.0, late):.0f} ms", late <= allowed, "digits")
    opened, falls = part["opened"], part["falls"]
    few = part["reached_while_down"] <= part["may_reach_while_down"]
    met = opened >= falls and part["closed_again"] and few
    told = f"{opened} times, {part['reached_while_down']} of {part['asked_while_down']:,} let through"
    told += ", closed again" if part["closed_again"] else ", still open"
    yield Row(f"breaker opens in {falls} falls, and closes", "yes", told, met, "digits")


def _weights(part: Mapping[str, Any]) -> Iterator[Row]:
    size = f"{part['weights_mb']:.0f} MB of weights"
    for store, title in (("moto", "moto's S3"), ("sendfile", "a server that only sends a file")):
        share = part[store]["share"]
        yield Row(f"{size} from {title}, of the plain rate", ">= 80%", f"{share:.0%}", share >= 0.8)
    ratio = part["peak_ratio"]
    yield Row("peak memory beside the engine's, of the weights", "<= 1.15", f"{ratio:.2f}", ratio <= 1.15)


def _gpu(part: Mapping[str, Any]) -> Iterator[Row]:
    yield from _batching(part["batching"], 5.0, "GPU")
    for name, model in part["models"].items():
        off = model["off"]
        yield Row(f"answers of {model['provider']} off the CPU's", "<= 0.005", f"{off:.1e}", off <= 5e-3, name)


def _worth(part: Mapping[str, Any]) -> float:
    arms = part["arms"]
    return float(arms["batches"]["per_second"]["median"] / arms["one by one"]["per_second"]["median"])


def markdown(document: Mapping[str, Any]) -> str:
    """Render everything: what must be reached first, then every server, then how it was measured."""
    found = rows(document)
    return "\n".join((*table(found), *_servers(document), *_notes(document), *_conditions(document))) + "\n"


def summary(document: Mapping[str, Any]) -> str:
    """Render what the README shows."""
    found = rows(document)
    lines = list(table(found))[2:]
    return "\n".join((*lines, verdict(found, "fallback"))) + "\n"


def _servers(document: Mapping[str, Any]) -> Iterator[str]:
    for name in ("digits", "magika", "batching"):
        part = document["parts"].get(name)
        if part is None:
            continue
        threads = f"; the endpoint with {part['threads']} threads" if part.get("threads", 1) > 1 else ""
        yield f"**{part['title']}**, {part['clients']} clients{threads}"
        yield ""
        yield "| server | requests/s | p50 / p99, ms | MB |"
        yield "|---|---|---|---|"
        for arm, figures in part["arms"].items():
            title = figures.get("title", arm)
            title = f"**{title}**" if arm == "coldpress" else title
            rate = figures["per_second"]
            yield (
                f"| {title} | {rate['median']:,.0f} [{rate['low']:,.0f} to {rate['high']:,.0f}] "
                f"| {figures['p50_ms']['median']:.1f} / {figures['p99_ms']['median']:.1f} "
                f"| {figures['memory_mb']:.0f} |"
            )
        yield ""
        for peer, why in part.get("missing", {}).items():
            yield f"{peer} is not among them: {why.splitlines()[0]}."
            yield ""


def _notes(document: Mapping[str, Any]) -> Iterator[str]:
    if cascade := document["parts"].get("cascade"):
        yield (
            f"The cascade: a model of {cascade['small_bytes']:,} bytes is right on {cascade['small']:.2%} of "
            f"{cascade['samples']:,} digits, one of {cascade['large_bytes']:,} bytes on {cascade['large']:.2%}, both "
            f"together on {cascade['cascade']:.2%} with {cascade['escalated']:.1%} escalated. Models and threshold saw "
            "none of the digits that they are judged on."
        )
        yield ""
    if faults := document["parts"].get("faults"):
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in faults["outcomes"].items())
        yield f"What came of the requests under faults, in {faults['seconds']:.0f} s: {outcomes}."
        yield ""
    if weights := document["parts"].get("weights"):
        rates = " and ".join(
            f"{weights[store]['read_mb_s']:,} of {weights[store]['plain_mb_s']:,} MB/s from {title}"
            for store, title in (("moto", "moto"), ("sendfile", "the plain server"))
        )
        yield (
            f"Weights came at {rates}, in {weights['parts']} parts, with their digest, which alone takes "
            f"{weights['digest_mb_s']:,} MB/s; the peak was {weights['peak_mb']:.0f} MB, and the engine's alone "
            f"{weights['engine_mb']:.0f}."
        )
        yield ""
    if document["gpu"] is None:
        yield (
            "The figures of a GPU (batching >= 5, answers within tolerance of the CPU's, rows a second by batch) were "
            "skipped: there was none. `python -m benchmarks.fallback.gpu` measures them where there is."
        )
        yield ""
        return
    for name, model in document["gpu"]["models"].items():
        by_batch = ", ".join(f"{size}: {rate:,.0f}" for size, rate in model["rows_a_second"].items())
        yield f"{name} on {document['gpu']['device']}, rows a second by rows in a batch: {by_batch}."
        yield ""


def _conditions(document: Mapping[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"Measured {document['date']} on {machine['cpu']}, {machine['cores']} cores; CPython {document['python']}, "
        f"ONNX Runtime {document['engine']}, one thread and one worker unless it says otherwise. Servers are started "
        "anew in every round, in turn, and medians are taken over rounds; clients are on the same machine and never "
        "wait. Every server's answer is compared with the plain binding's before it is measured."
    )
