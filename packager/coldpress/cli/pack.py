"""``coldpress pack``: one model in, a verified folder that can be deployed out."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.cli.flags import FUNCTION, SAMPLES, SHRINK, Flag, add_flags, named_model, read_config
from coldpress.console import emit_json, say
from coldpress.plan import make_plan
from coldpress.targets import TARGETS

if TYPE_CHECKING:
    from coldpress.packed import Packed

__all__ = ["add_parser", "run"]

FLAGS: tuple[Flag, ...] = (
    ("--name", "model.name", {"help": "name in the URL: /v2/models/NAME/infer (the file's name)"}),
    *SAMPLES,
    *SHRINK,
    *FUNCTION,
)

MOST_NOTES = 12
"""Notes shown to people: a model with many inputs makes one for each."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``pack`` to the command line."""
    parser = subparsers.add_parser("pack", help="shrink, bundle, verify and render a model", description=__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        help="the .onnx file, or a folder with one or with a coldpress.toml (default: model.source of coldpress.toml)",
    )
    parser.add_argument("--target", choices=tuple(TARGETS), default="aws", help="the provider (aws)")
    parser.add_argument("--out", type=Path, help="folder to write (build/TARGET)")
    parser.add_argument("--config", type=Path, help="settings (coldpress.toml, when it is there)")
    parser.add_argument("--form", help="ship this form of the model instead of measuring which is best")
    parser.add_argument("--no-strip", action="store_true", help="ship the model's graph as it is")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, run nothing")
    parser.add_argument("--auth", help="who may call, in the target's own words; on AWS iam, jwt, key or none (iam)")
    add_flags(parser, FLAGS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pack; 0 when the folder is there and verified, 1 when the model does not fit its target."""
    args.model, args.config = named_model(args.model, args.config)
    settings: dict[str, Any] = {"model__source": args.model, f"targets__{args.target}__auth": args.auth}
    for key in ("python", "architecture", "memory_mb", "timeout_s"):
        if TARGETS[args.target].has_own(key):  # it goes before [function], and a flag goes before both
            settings[f"targets__{args.target}__{key}"] = getattr(args, key)
    if args.no_strip:
        settings["shrink__allow"] = []
    plan = make_plan(read_config(args, FLAGS, **settings), args.target, args.out, args.form)
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


def _show(packed: "Packed") -> None:
    fit = packed.fit
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
    if packed.shrunk and packed.choice:
        before, after = (_mb(packed.shrunk.record[f"{which}_bytes"]) for which in ("original", "shrunk"))
        say(f"  model {before} -> {after}, shipped as {packed.choice.name}")
    if packed.verification and packed.shrunk:
        yardstick = "the original" if packed.shrunk.exact else "the smaller model"
        say(f"  {packed.verification.summary(yardstick)}")
        if packed.weights:
            size = packed.weights_bytes
            say(f"  {_mb(size)} of weights lie in {packed.plan.out}/weights, and are read from {packed.plan.weights}")
    if packed.decision and packed.decision.cascade:
        for line in packed.decision.cascade.table():
            say(f"    {line}")
    if packed.archive:
        deploy = TARGETS[packed.plan.target].deploy
        if packed.weights and (packed.plan.out / "weights.sh").is_file() and not deploy.startswith("./"):
            deploy = f"./weights.sh && {deploy}"  # a script of ours does that by itself
        if packed.plan.endpoint is not None:
            say(f"First: the endpoint, as {packed.plan.out}/endpoint/README.md says")
        say(f"Next: cd {packed.plan.out} && {deploy}")


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
