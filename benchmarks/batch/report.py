"""results.json -> the table that people read: what must be reached, and every arm on every file."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.figures import Row, table, verdict

__all__ = ["markdown", "rows", "summary"]

_TITLES = {
    "coldpress-2": "`coldpress score`, 2 workers",
    "coldpress-1": "`coldpress score`, 1 worker",
    "pandas": "pandas `read_csv`, onnxruntime, `to_csv`",
    "pandas-chunks": "pandas in chunks",
    "polars": "polars, whole, float32",
    "polars-streaming": "polars, streaming, float32",
    "json-lines": "`json`, line by line",
    "orjson-lines": "`orjson`, line by line",
    "pandas-lines": "pandas `read_json(lines=True)`",
}
_SIDE_BY_SIDE = {
    "of_bare": "pictures a second, 2 workers, of two processes of the bare engine that open none",
    "of_opening": "pictures a second, 2 workers, of two that open them as well",
    "of_bare_tensors": "ready tensors a second, 2 workers, of two processes of the bare engine",
}
_FILES = {
    "csv": "CSV, 64 columns",
    "arrays": "JSON Lines, an array a row",
    "named": "JSON Lines, 64 named fields a row",
}


def rows(document: Mapping[str, Any]) -> list[Row]:
    """List every figure that must be reached, with what was measured."""
    return list(_rows(document))


def _rows(document: Mapping[str, Any]) -> Iterator[Row]:
    speeds = {
        name: {arm: figures["rows_per_second"]["median"] for arm, figures in each["arms"].items()}
        for name, each in document["tables"].items()
    }
    csv = speeds["csv"]
    yield _at_least("rows a second, CSV, of the pandas script", 1.5, csv["coldpress-2"] / csv["pandas"])
    yield _at_least("rows a second, CSV, of polars streaming", 1, csv["coldpress-2"] / csv["polars-streaming"])
    peaks = {arm: figures["peak_mb"]["median"] for arm, figures in document["tables"]["csv"]["arms"].items()}
    share = peaks["coldpress-2"] / peaks["pandas"]
    yield Row("peak memory of all processes, CSV, of pandas'", "<= 0.125", f"{share:.3f}", share <= 1 / 8)
    for name in ("arrays", "named"):
        ours = speeds[name]["coldpress-2"]
        yield _at_least(f"rows a second, {_FILES[name]}, of `json`", 2, ours / speeds[name]["json-lines"])
        yield _at_least(f"rows a second, {_FILES[name]}, of `orjson`", 1, ours / speeds[name]["orjson-lines"])
    pictures = document["pictures"]["workers"]
    yield _at_least("pictures a second, 1 worker, of the bare engine", 0.95, pictures["1"]["of_bare"]["median"])
    for ratio, figure in _SIDE_BY_SIDE.items():
        yield _at_least(figure, 0.95, pictures["2"][ratio]["median"])
    peaks_by_size = [each["peak_mb"] for each in document["memory"]]
    largest, growth = document["memory"][-1]["mb"], max(peaks_by_size) / min(peaks_by_size)
    smallest = document["memory"][0]["mb"]
    yield Row(
        f"peak memory, {smallest} MB to {largest:,} MB of input", "flat (<= 1.15)", f"{growth:.2f}", growth <= 1.15
    )
    killed = {store: each["killed"] for store, each in document["kills"].items()}
    told = ", ".join(f"{count} ({store})" for store, count in killed.items())
    yield Row("`kill -9` at random moments, every row once", ">= 50", told, min(killed.values()) >= 50)


def _at_least(figure: str, least: float, found: float) -> Row:
    return Row(figure, f">= {least:g}", f"{found:.2f}", found >= least)


def markdown(document: Mapping[str, Any]) -> str:
    """Render everything: what must be reached first, then every arm, then how it was measured."""
    return "\n".join((*table(rows(document)), *_arms(document), *_memory(document), *_conditions(document))) + "\n"


def summary(document: Mapping[str, Any]) -> str:
    """Render what the README shows."""
    return "\n".join((*_table(document, "csv"), "", verdict(rows(document), "batch"))) + "\n"


def _arms(document: Mapping[str, Any]) -> Iterator[str]:
    for name, each in document["tables"].items():
        yield f"**{_FILES[name]}**, {each['rows']:,} rows, {each['bytes'] / 1e6:,.0f} MB"
        yield ""
        yield from _table(document, name)
        yield ""
    pictures = document["pictures"]
    yield f"**Pictures**, {pictures['count']:,} JPEG of 640 x 480 in a zip, opennsfw"
    yield ""
    yield (
        "| workers | pictures a second | of the bare engine on ready tensors | of the bare engine that opens them too "
        "| ready tensors (.npy) a second | of the bare engine |"
    )
    yield "|---" * 6 + "|"
    for workers, figures in pictures["workers"].items():
        found = {what: figure["median"] for what, figure in figures.items()}
        yield (
            f"| {workers} | {found['rows_per_second']:.1f} | {found['of_bare']:.2f} | {found['of_opening']:.2f} "
            f"| {found['tensors_per_second']:.1f} | {found['of_bare_tensors']:.2f} |"
        )
    yield ""
    yield (
        "Opening a picture takes a tenth to a fifth of the time of a run. One worker has the second core for it; two "
        "workers on two cores cannot keep pace with an engine that opens none."
    )
    yield ""


def _table(document: Mapping[str, Any], name: str) -> Iterator[str]:
    yield "| what scores | rows a second | peak memory, all processes |"
    yield "|---|---|---|"
    for arm, figures in document["tables"][name]["arms"].items():
        speed, peak = figures["rows_per_second"], figures["peak_mb"]["median"]
        spread = f"{speed['median']:,.0f} [{speed['low']:,.0f}-{speed['high']:,.0f}]"
        yield f"| {_TITLES[arm]} | {spread} | {peak:,.0f} MB |"


def _memory(document: Mapping[str, Any]) -> Iterator[str]:
    yield "**Memory**, CSV, 2 workers (a file of one chunk has but one if not told otherwise), the label alone"
    yield ""
    yield "| input | peak memory, all processes | seconds |"
    yield "|---|---|---|"
    for each in document["memory"]:
        yield f"| {each['mb']:,} MB | {each['peak_mb']:,.0f} MB | {each['s']:.1f} |"
    yield ""


def _conditions(document: Mapping[str, Any]) -> Iterator[str]:
    machine = document["machine"]
    yield (
        f"Measured by `make bench-batch` on {document['date']}: {machine['cores']} cores of {machine['cpu']}; "
        f"{document['rounds']} rounds, every arm once in each, in turn; medians [range]. A time is that of the "
        "whole process, from its start to its end; bytecode is there. The digits model; every arm writes a row's label "
        "and all ten probabilities. The engine has one thread a process."
    )
