"""results.json -> the table that people read, with the targets marked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Target", "markdown", "reached", "summary", "targets"]

SMALL = ("digits", "magika")


@dataclass(frozen=True)
class Target:
    """One figure that must be reached: ``value`` at most ``limit``, in ``unit``."""

    what: str
    where: str
    value: float | None
    limit: float
    unit: str

    @property
    def met(self) -> bool:
        """Whether the median reaches it."""
        return self.value is not None and self.value <= self.limit


def targets(document: dict[str, Any]) -> list[Target]:
    """List every target with the value measured for it."""
    return list(_targets(document))


def _targets(document: dict[str, Any]) -> Iterator[Target]:
    models = document["models"]
    if ours := next((model["arms"].get("coldpress") for model in models.values()), None):
        yield Target("runtime in the bundle, unzipped", "all", ours["bytes"]["unzipped"] / 1e6, 31, "MB")
        yield Target("runtime in the bundle, zipped", "all", ours["bytes"]["zipped"] / 1e6, 11.5, "MB")
    for name, model in models.items():
        ours = model["arms"].get("coldpress", {})
        limit = 0.20 if name in SMALL else 0.35
        yield Target("init + first answer above the floor, of naive", name, _median(ours, "of_naive"), limit, "")
        yield Target("the same, of expert", name, _median(ours, "of_expert"), 0.60, "")
        yield Target("peak memory, of naive", name, _median(ours, "peak_of_naive"), 0.75, "")
    if "digits" in models:
        over = _median(models["digits"]["arms"].get("coldpress", {}), "warm_over_bare_ms")
        yield Target("warm answer over the engine's own `run`", "digits", over, 0.25, "ms")
    if "pack_magika_s" in document:
        yield Target("`pack`, warm cache, verified", "magika", document["pack_magika_s"]["median"], 15, "s")


def _median(arm: dict[str, Any], key: str) -> float | None:
    return arm[key]["median"] if key in arm else None


def markdown(document: dict[str, Any]) -> str:
    """Render everything: targets first, then every arm on every model, then how it was measured."""
    return "\n".join((*_target_table(document), "", *_arm_tables(document), *_conditions(document))) + "\n"


def summary(document: dict[str, Any]) -> str:
    """Render what the README shows: cold starts of every arm beside each other, then the targets."""
    return "\n".join((*_overview(document), "", *_target_grid(document), "", *_conditions(document))) + "\n"


def _overview(document: dict[str, Any]) -> Iterator[str]:
    models = document["models"]
    yield (
        "From the start of the process to the first answer, above an empty handler, in ms; in brackets the share of "
        "the first row:"
    )
    yield ""
    yield "| what is shipped | MB without the model | " + " | ".join(model["title"] for model in models.values()) + " |"
    yield "|---" * (len(models) + 2) + "|"
    names = [name for name in next(iter(models.values()))["arms"] if name != "floor"]
    for name in names:
        arms = [model["arms"].get(name, {}) for model in models.values()]
        size = arms[0]["bytes"]
        cells = [f"{size['unzipped'] / 1e6:.0f} (zipped {size['zipped'] / 1e6:.1f})", *map(_cold, arms)]
        yield f"| {arms[0]['title']} | " + " | ".join(cells) + " |"


def _cold(arm: dict[str, Any]) -> str:
    if "above_floor_ms" not in arm:
        return "does not run it"
    ratio = f" ({arm['of_naive']['median']:.2f})" if "of_naive" in arm else ""
    return f"{arm['above_floor_ms']['median']:.0f}{ratio}"


def _target_grid(document: dict[str, Any]) -> Iterator[str]:
    """Yield a row for each figure and a column for each model."""
    names = list(document["models"])
    rows: dict[str, dict[str, Target]] = {}
    for target in targets(document):
        rows.setdefault(target.what, {})[target.where] = target
    yield "What must be reached, and what was:"
    yield ""
    yield "| figure | " + " | ".join(names) + " |"
    yield "|---" * (len(names) + 1) + "|"
    for what, row in rows.items():
        everywhere = row.get("all")
        cells = [reached(row.get(name)) for name in names] if everywhere is None else [reached(everywhere)]
        yield f"| {what} | " + " | ".join(cells + [""] * (len(names) - len(cells))) + " |"
    exact = [model["arms"].get("coldpress", {}).get("answers", "-") for model in document["models"].values()]
    yield (
        "| answers equal to the binding's, bit for bit | "
        + " | ".join("met" if each.startswith("equal") else "**missed**" for each in exact)
        + " |"
    )


def reached(target: Target | None) -> str:
    """Tell what was measured beside its limit; nothing when it was not."""
    if target is None or target.value is None:
        return ""
    text = f"{target.value:.3g} {target.unit}".strip() + f" (<= {target.limit:g})"
    return f"met: {text}" if target.met else f"**missed**: {text}"


def _target_table(document: dict[str, Any]) -> Iterator[str]:
    yield "| figure | model | measured | must reach | |"
    yield "|---|---|---|---|---|"
    for target in targets(document):
        value = "-" if target.value is None else f"{target.value:.3g} {target.unit}".strip()
        limit = f"<= {target.limit:g} {target.unit}".strip()
        yield f"| {target.what} | {target.where} | {value} | {limit} | {'met' if target.met else '**missed**'} |"
    for name, model in document["models"].items():
        answers = model["arms"].get("coldpress", {}).get("answers", "-")
        verdict = "met" if answers.startswith("equal") else "**missed**"
        yield f"| answers | {name} | {answers} | equal to the binding's | {verdict} |"


def _arm_tables(document: dict[str, Any]) -> Iterator[str]:
    for model in document["models"].values():
        yield f"**{model['title']}**, {model['model_bytes'] / 1e6:.1f} MB"
        yield ""
        yield (
            "| arm | init ms | first answer ms | both above the floor ms | of naive | warm ms | peak MB "
            "| unzipped / zipped MB |"
        )
        yield "|---|---|---|---|---|---|---|---|"
        for arm in model["arms"].values():
            size = arm["bytes"]
            shipped = f"{size['unzipped'] / 1e6:.1f} / {size['zipped'] / 1e6:.1f}"
            if "unsupported" in arm:
                yield f"| {arm['title']} | does not run this model | | | | | | {shipped} |"
                continue
            ratio = "1" if "of_naive" not in arm else f"{arm['of_naive']['median']:.2f}"
            above = _range(arm["above_floor_ms"]) if "above_floor_ms" in arm else "0"
            yield (
                f"| {arm['title']} | {_range(arm['init_ms'])} | {arm['first_ms']['median']:.1f} | {above} "
                f"| {ratio if 'above_floor_ms' in arm else '-'} | {arm['warm_ms']['median']:.2f} "
                f"| {arm['peak_mb']['median']:.0f} | {shipped} |"
            )
        yield ""


def _range(spread: dict[str, float]) -> str:
    return f"{spread['median']:.0f} [{spread['low']:.0f}-{spread['high']:.0f}]"


def _conditions(document: dict[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    sets = ", ".join(machine["instruction_sets"])
    yield (
        f"Measured by `make bench` on {document['date']}: {machine['cores']} cores of {machine['cpu']} ({sets}), "
        f"{machine['memory_gb']} GB, Python {document['python']}, ONNX Runtime {document['engine']}; "
        f"{document['rounds']} rounds, each starting every arm once in a fresh process under AWS's runtime client "
        "(awslambdaric, compiled), in turn; medians, with ranges in brackets; ratios are paired within a round. Page "
        "cache warm, CPU not limited, and no microVM: what a provider adds to boot it and to fetch the zip is the same "
        "for every arm and is not in these figures. Sizes are without the model; zipped is deflate level 6. FastAPI "
        "and tract are shipped with bytecode, which `sam build` leaves out: their best, not their usual."
    )
