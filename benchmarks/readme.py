"""Keeps the README's figures those of results.json: `python -m benchmarks.readme` writes them between two markers."""

import json
import os
from pathlib import Path

from benchmarks.report import summary

__all__ = ["BEGIN", "END", "filled", "main"]

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- benchmark -->", "<!-- /benchmark -->"


def filled(readme: str, figures: str) -> str:
    """Return ``readme`` with ``figures`` between the markers; unchanged when it has none."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    return f"{head}{begin}\n{figures}{end}{tail}" if begin and end else readme


def main() -> None:
    """Fill the README in."""
    readme = ROOT / "README.md"
    figures = summary(json.loads((ROOT / "benchmarks" / "results.json").read_text(encoding="utf-8")))
    partial = readme.with_name("README.md.partial")
    partial.write_text(filled(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")
    os.replace(partial, readme)  # noqa: PTH105


if __name__ == "__main__":
    main()
