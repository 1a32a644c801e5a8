"""``coldpress pack``: one model in, a verified folder that can be deployed out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.config import Config, load_config
from coldpress.console import emit_json, say
from coldpress.plan import make_plan

if TYPE_CHECKING:
    from coldpress.pack import Packed

__all__ = ["add_parser", "run"]

# Flag, the setting it lays over, and how to read and explain it.
FLAGS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("--name", "model.name", {"help": "name in the URL: /v2/models/NAME/infer (the file's name)"}),
    ("--samples", "samples.evaluation", {"type": Path, "help": "real inputs, .npz or .jsonl keyed by input name"}),
    ("--metric", "samples.metric", {"help": "accuracy or cosine"}),
    ("--python", "function.python", {"help": "the function's Python: 3.12, 3.13 or 3.14 (3.13)"}),
    ("--architecture", "function.architecture", {"help": "x86_64 or arm64 (x86_64)"}),
    ("--memory-mb", "function.memory_mb", {"type": int, "help": "the function's memory (1024)"}),
    ("--timeout-s", "function.timeout_s", {"type": int, "help": "longest answer in seconds (30)"}),
    ("--hooks", "function.hooks", {"type": Path, "help": "Python file with preprocess and postprocess"}),
    ("--requirement", "function.requirements", {"action": "append", "help": "a package that the hooks import"}),
    ("--auth", "targets.aws.auth", {"help": "who may call: iam, jwt, key or none (iam)"}),
)


MOST_NOTES = 12
"""Notes shown to people: a model with many inputs makes one for each."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``pack`` to the command line."""
    parser = subparsers.add_parser("pack", help="shrink, bundle, verify and render a model", description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="the .onnx file (default: model.source of coldpress.toml)")
    parser.add_argument("--target", choices=("aws",), default="aws", help="the provider (aws)")
    parser.add_argument("--out", type=Path, help="folder to write (build/TARGET)")
    parser.add_argument("--config", type=Path, help="settings (coldpress.toml, when it is there)")
    parser.add_argument("--form", help="ship this form of the model instead of measuring which is best")
    parser.add_argument("--no-strip", action="store_true", help="ship the model's graph as it is")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    for flag, _, options in FLAGS:
        parser.add_argument(flag, **options)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pack; 0 when the folder is there and verified, 1 when the model does not fit its target."""
    plan = make_plan(_config(args), args.target, args.out, args.form)
    if args.dry_run:
        emit_json(plan.to_json())
        return 0
    from coldpress.pack import execute  # noqa: PLC0415 - brings onnx and numpy

    packed = execute(plan)
    if args.json:
        emit_json(packed.to_json())
    else:
        _show(packed)
    return 0 if packed.fit.verdict == "fits" else 1


def _config(args: argparse.Namespace) -> Config:
    """Flags over the file over the defaults."""
    flags = {setting: getattr(args, flag[2:].replace("-", "_")) for flag, setting, _ in FLAGS}
    flags["model.source"] = args.model
    if args.no_strip:
        flags["shrink.allow"] = []
    file = args.config or (Path("coldpress.toml") if Path("coldpress.toml").is_file() else None)
    return load_config(file, {key: value if value is None else _usable(value) for key, value in flags.items()})


def _usable(value: Any) -> Any:
    """Make a path given as a flag absolute, so that it is not taken as relative to the settings file."""
    return value.absolute() if isinstance(value, Path) else value


def _show(packed: "Packed") -> None:
    fit, shrink = packed.fit, packed.shrink
    notes = (*packed.notes, *(packed.verification.notes if packed.verification else ()))
    for note in notes[:MOST_NOTES]:
        say(f"  note: {note}")
    if len(notes) > MOST_NOTES:
        say(f"  and {len(notes) - MOST_NOTES} more notes: see `notes` and `verification` of --json")
    for advice in fit.advice:
        say(f"  {'note' if fit.verdict == 'fits' else 'next'}: {advice}")
    say()
    say(f"{packed.plan.out}: {fit.verdict}")
    model, runtime = fit.sizes.model_bytes, fit.sizes.runtime_bytes
    zipped = f", {_mb(packed.archive.zip_bytes)} zipped" if packed.archive else ""
    say(f"  {_mb(fit.sizes.unzipped_bytes)} unzipped ({_mb(model)} model, {_mb(runtime)} runtime){zipped}")
    say(f"  model {_mb(shrink['original_bytes'])} -> {_mb(shrink['shrunk_bytes'])}, shipped as {packed.choice.name}")
    if packed.verification:
        say(f"  {packed.verification.summary}")
        say(f"Next: cd {packed.plan.out} && sam deploy --guided")


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
