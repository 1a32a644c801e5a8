"""``coldpress inspect``: what is inside a model, where its bytes are, what it costs and what shrinking could gain."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.console import emit_json, emit_text

if TYPE_CHECKING:
    from coldpress.inspect import Inspection, Port

__all__ = ["add_parser", "run"]

_NUMBERS = frozenset({"bytes", "saved", "nodes", "weights", "parameters", "multiply-accumulates"})
"""Columns that are set to the right."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``inspect`` to the command line."""
    parser = subparsers.add_parser(
        "inspect", help="show where a model's bytes are and what shrinking could gain", description=__doc__
    )
    parser.add_argument("model", type=Path, help="an .onnx file")
    parser.add_argument("--largest", type=int, default=10, metavar="N", help="weights to list one by one (10)")
    parser.add_argument(
        "--size", type=_size, action="append", default=[], metavar="NAME=N",
        help="count operations with this size of an open dimension, such as batch=1 or x[2]=48; may be repeated",
    )  # fmt: skip
    parser.set_defaults(run=run)


def _size(text: str) -> tuple[str, int]:
    """Read ``NAME=N``."""
    name, equals, number = text.rpartition("=")
    if not equals or not name or not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=N with a whole number from 1 on, such as batch=1")
    return name, int(number)


def run(args: argparse.Namespace) -> int:
    """Look into the model, then print tables, or JSON."""
    from coldpress.inspect import inspect_model  # noqa: PLC0415  (kept off the path of `coldpress --help`)

    found = inspect_model(args.model, sizes=dict(args.size))
    if args.json:
        emit_json(found.to_json(max(0, args.largest)))
    else:
        emit_text(render(found, max(0, args.largest)))
    return 0


def render(found: "Inspection", largest: int) -> str:
    """Return the inspection as text for a terminal, coloured when stdout is one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    console = Console(force_terminal=console.is_terminal, width=max(console.width, 80), highlight=False)

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for column in columns:
            made.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
        return made

    def plain(words: str) -> Text:
        # Words from the model may hold brackets, which rich would read as markup, or a terminal's control codes.
        return Text("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words))

    parts: list[Text | Table] = [plain(line) for line in _facts(found)]
    ports = table("\nSignature", "", "name", "type", "shape")
    for role, group in (("in", found.inputs), ("out", found.outputs)):
        for port in group:
            ports.add_row(role, plain(port.name), plain(port.type), plain(_shape(port)))
    parts.append(ports)
    for title, field in (("Weights by place", "place"), ("By type", "dtype"), ("By operator", "used_by")):
        sums = table(f"\n{title}", "bytes", "", "")
        for name, size in list(found.by(field).items())[:12]:
            sums.add_row(f"{size:,}", _share(size, found.total_bytes), plain(name))
        parts.append(sums)
    biggest = table("\nLargest", "bytes", "", "type", "shape", "used by", "name")
    for weight in found.weights[:largest]:
        shape = "[" + ", ".join(map(str, weight.shape)) + "]"
        share = _share(weight.bytes, found.total_bytes)
        biggest.add_row(f"{weight.bytes:,}", share, weight.dtype, shape, plain(weight.used_by), plain(weight.name))
    if largest:
        parts.append(biggest)
    costs = table("\nCost by operator", "multiply-accumulates", "parameters", "bytes", "nodes", "")
    for op in found.compute.ops[:8]:
        costs.add_row(f"{op.macs:,}", f"{op.parameters:,}", f"{op.bytes:,}", f"{op.nodes:,}", plain(op.op))
    parts += [costs, *map(plain, _compute_facts(found)), Text(), *map(plain, _memory_facts(found))]
    operators = ", ".join(f"{name} {count}" for name, count in list(found.nodes.items())[:16])
    more = f", and {len(found.nodes) - 16} more" if len(found.nodes) > 16 else ""
    parts.append(Text("\n") + plain(f"Operators: {operators}{more}"))
    if found.stripped is not None:
        saved = table("", "saved", "pass")
        saved.show_header = False
        saved.title = None
        parts.append(Text(f"\nStripping would save {found.stripped.saved:,} bytes", style="bold"))
        for step in found.stripped.steps:
            saved.add_row(
                f"{step['bytes_saved']:,}", f"{step['name']} ({step['count']}) {step.get('note', '')}".rstrip()
            )
        parts.append(saved)
    if found.gains is not None:
        if found.gains.families:
            encodings = table("\nIf all weights were encoded alike",
                              "bytes", "saved", "weights", "")  # fmt: skip
            for gain in found.gains.families:
                share = _share(gain.saved, found.total_bytes)
                encodings.add_row(f"{gain.bytes:,}", share, f"{gain.weights:,}", gain.family)
            parts.append(encodings)
        if found.gains.why_none:
            parts += [Text(), plain(found.gains.why_none)]
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _facts(found: "Inspection") -> list[str]:
    opsets = ", ".join(f"{domain} {version}" for domain, version in found.opsets.items())
    lines = [f"{found.name}: {found.total_bytes:,} bytes, {found.parameters:,} parameters"]
    lines += [f"  with {path}: {size:,} bytes" for path, size in found.files[1:]]
    lines.append(f"  IR {found.ir_version}, opset {opsets}, by {found.producer or 'an unnamed producer'}")
    inside = f" in {found.subgraphs} subgraphs and the main graph" if found.subgraphs else ""
    functions = f", {found.functions} local functions" if found.functions else ""
    lines.append(f"  {sum(found.nodes.values())} nodes{inside}{functions}")
    lines.append(
        f"  {found.weight_bytes:,} bytes of weights, {found.duplicate_bytes:,} of them duplicates; "
        f"{found.graph_bytes:,} bytes of nodes, names and notes"
    )
    if found.metadata:
        lines.append(f"  metadata: {', '.join(found.metadata)}")
    return lines


def _compute_facts(found: "Inspection") -> list[str]:
    assumed = ", ".join(f"{name}={size}" for name, size in found.compute.assumed.items())
    words = f"{found.compute.macs:,} multiply-accumulates a run"
    lines = [f"{words}, assuming {assumed} (--size NAME=N says otherwise)" if assumed else words]
    if found.compute.unknown:
        lines.append(f"without {found.compute.unknown} nodes whose shapes depend on values")
    return lines


def _memory_facts(found: "Inspection") -> list[str]:
    memory = found.memory
    parts = {
        "for weights": memory.weights,
        "for what is computed from constants": memory.computed,
        "for weights rearranged": memory.rearranged,
        "for trees": memory.trees,
        "for the graph": memory.graph,
    }
    words = ", ".join(f"{_mb(size)} {what}" for what, size in parts.items() if size >= max(50_000, memory.bytes / 100))
    engine = _mb(memory.engine_bytes)
    return [f"Opening it should take {_mb(memory.bytes)} beside the engine's {engine}: {words or 'little'}"]


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 10_000_000 else f"{size / 1e6:.1f} MB"


def _shape(port: "Port") -> str:
    if port.shape is None:
        return "-"
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in port.shape) + "]"


def _share(size: int, total: int) -> str:
    return f"{100 * size / total:.1f} %" if total else ""
