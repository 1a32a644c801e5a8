"""``coldpress shrink``: the smallest model that is still right on your samples, and the proof."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.cli.flags import SAMPLES, SHRINK, Flag, add_flags, read_config
from coldpress.console import emit_json, say

if TYPE_CHECKING:
    from coldpress.search.account import Shrunk

__all__ = ["add_parser", "run"]

FLAGS: tuple[Flag, ...] = (
    *SAMPLES,
    *SHRINK,
    ("--architecture", "function.architecture", {"help": "x86_64 or arm64 (x86_64)"}),
    ("--memory-mb", "function.memory_mb", {"type": int, "help": "the function's memory, hence its threads (1024)"}),
)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``shrink`` to the command line."""
    parser = subparsers.add_parser("shrink", help="find the smallest model that is still right", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="the .onnx file (default: model.source of coldpress.toml)")
    parser.add_argument("-o", "--out", type=Path, help="the file to write (MODEL.small.onnx)")
    parser.add_argument("--report", type=Path, metavar="HTML", help="also write a report, and .json beside it")
    parser.add_argument("--config", type=Path, help="settings (coldpress.toml, when it is there)")
    add_flags(parser, FLAGS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Shrink; 0 when the model is written, 1 when nothing is right within the budget."""
    from coldpress.search.command import execute, make_plan  # noqa: PLC0415  (brings onnx and numpy)

    plan = make_plan(read_config(args, FLAGS, model__source=args.model), args.out, args.report)
    shrunk = execute(plan)
    if args.json:
        tokenizer = None if plan.tokenizer is None else str(plan.tokenizer)
        emit_json({"model": str(plan.model), "out": str(plan.out), "tokenizer": tokenizer, **shrunk.to_json()})
    else:
        _show(plan.out, shrunk)
        if plan.tokenizer is not None:
            say(f"{plan.tokenizer}: the tokenizer that goes with it")
    return 0


def _show(out: Path, shrunk: "Shrunk") -> None:
    record, quality = shrunk.record, shrunk.quality
    zipped = any("prune" in candidate["recipe"] for candidate in record["candidates"])
    for candidate in record["candidates"]:
        mark = "→" if candidate["chosen"] else " "
        why = candidate["why_not"] or ("ships" if candidate["chosen"] else "passes")
        size = f"{_size(candidate['bytes']):>10}"
        if zipped and candidate["zip_bytes"] is not None:
            size += f" ({_size(candidate['zip_bytes'])} zipped)"
        say(f"{mark} {size}  {candidate['name']:<18} {why}")
    for note in shrunk.notes:
        say(f"  note: {note}")
    before, after = record["original_bytes"], record["shrunk_bytes"]
    say(f"{out}: {_size(before)} -> {_size(after)} ({' + '.join(record['recipe']) or 'unchanged'})")
    if quality["metric"]:
        change = f"{quality['original']:.5g} -> {quality['shrunk']:.5g} on {quality['samples']} samples"
        say(f"  {quality['metric']} {change}: {quality['verdict']}")
    else:
        say(f"  {quality['verdict']}")


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1_000_000 else f"{count / 1e3:.1f} kB"
