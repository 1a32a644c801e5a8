"""Keeps the README's figures those of the results: `python -m benchmarks.readme` writes them between markers."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from benchmarks.batch.report import summary as batch_summary
from benchmarks.fallback.report import summary as fallback_summary
from benchmarks.report import summary
from benchmarks.serve.report import summary as serve_summary
from benchmarks.shrink.report import summary as shrink_summary
from coldpress.console import emit_text, say
from tests.support.support import table

__all__ = ["BLOCKS", "Figure", "filled", "main", "publish", "write_whole"]

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = {
    "batch": (ROOT / "benchmarks" / "batch" / "results.json", batch_summary),
    "benchmark": (ROOT / "benchmarks" / "results.json", summary),
    "fallback": (ROOT / "benchmarks" / "fallback" / "results.json", fallback_summary),
    "serve": (ROOT / "benchmarks" / "serve" / "results.json", serve_summary),
    "shrink": (ROOT / "benchmarks" / "shrink" / "results.json", shrink_summary),
    "support": (ROOT / "benchmarks" / "targets" / "results.json", table),
}
"""Where each block's figures come from, and how they are told."""


class Figure(Protocol):
    """Something that was to be reached."""

    @property
    def met(self) -> bool:
        """Whether it was."""
        ...


def publish(
    document: Mapping[str, Any],
    told: str,
    figures: Iterable[Figure],
    folder: Path,
    *,
    title: str,
    whole: bool = True,
    out: Path | None = None,
) -> None:
    """Write what was measured, print it, and say how many figures were missed.

    Args:
        document: all that was measured.
        told: the same as a table.
        figures: what was to be reached.
        folder: where ``results.json`` and ``results.md`` belong; the README is filled in with them.
        title: of ``results.md``.
        whole: whether it was the whole benchmark; a part of it is printed alone.
        out: a file for the document instead, which leaves the rest as it is.
    """
    text = json.dumps(document, indent=1) + "\n"
    if out:
        write_whole(out, text)
    elif whole:
        write_whole(folder / "results.json", text)
        write_whole(folder / "results.md", f"# {title}\n\n{told}")
        main()
    emit_text(told)
    missed = sum(not figure.met for figure in figures)
    say(f"{missed} figures missed" if missed else "every figure met")


def filled(readme: str, figures: str, block: str) -> str:
    """Return ``readme`` with ``figures`` between the markers of ``block``; unchanged when it has none."""
    head, begin, rest = readme.partition(f"<!-- {block} -->")
    _, end, tail = rest.partition(f"<!-- /{block} -->")
    return f"{head}{begin}\n{figures}{end}{tail}" if begin and end else readme


def main() -> None:
    """Fill the README in."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for block, (results, tell) in BLOCKS.items():
        if not results.exists():
            continue  # it was never measured here
        text = filled(text, tell(json.loads(results.read_text(encoding="utf-8"))), block)
    write_whole(readme, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file beside its place and swap it in."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105


if __name__ == "__main__":
    main()
