"""Keeps the README's figures those of the results: `python -m benchmarks.readme` writes them between markers."""

import json
import os
from pathlib import Path

from benchmarks.report import summary
from benchmarks.serve.report import summary as serve_summary
from benchmarks.shrink.report import summary as shrink_summary
from tests.support.support import table

__all__ = ["BLOCKS", "filled", "main", "write_whole"]

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = {
    "benchmark": (ROOT / "benchmarks" / "results.json", summary),
    "serve": (ROOT / "benchmarks" / "serve" / "results.json", serve_summary),
    "shrink": (ROOT / "benchmarks" / "shrink" / "results.json", shrink_summary),
    "support": (ROOT / "benchmarks" / "targets" / "results.json", table),
}
"""Where each block's figures come from, and how they are told."""


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
