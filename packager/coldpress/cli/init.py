"""``coldpress init``: write a commented ``coldpress.toml`` that already works for the model at hand."""

import argparse
import os
from pathlib import Path

from coldpress._resources import template_root
from coldpress.console import emit_json, say
from coldpress.errors import ConfigError
from coldpress.render.template import Template, quote

__all__ = ["add_parser", "run"]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``init`` to the command line."""
    parser = subparsers.add_parser("init", help="write a commented coldpress.toml", description=__doc__)
    parser.add_argument("model", nargs="?", help="the model to pack (default: the only .onnx file in this folder)")
    parser.add_argument("--out", type=Path, default=Path("coldpress.toml"), help="where to write (coldpress.toml)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file; refuse to replace one that is there."""
    model = args.model or _only_model()
    template = Template(template_root(), {"source": quote(model), "name": quote(Path(model).stem)})
    text = template.fill("coldpress.toml")
    partial = args.out.with_name(args.out.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.link(partial, args.out)  # fails when the file is there: nobody's settings are ever replaced
    except FileExistsError:
        raise ConfigError(f"{args.out} is there already; edit it, or write elsewhere with --out.") from None
    finally:
        partial.unlink(missing_ok=True)
    if args.json:
        emit_json({"out": str(args.out), "model": model})
    else:
        say(f"Wrote {args.out}. Next: `coldpress pack --target aws`.")
    return 0


def _only_model() -> str:
    found = sorted(path.name for path in Path().glob("*.onnx"))
    if len(found) == 1:
        return found[0]
    seen = f"are {len(found)} .onnx files" if found else "is no .onnx file"
    raise ConfigError(f"There {seen} in this folder; say which to pack: `coldpress init MODEL`.")
