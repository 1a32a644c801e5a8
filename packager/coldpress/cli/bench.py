"""``coldpress bench``: how a built function starts cold, and where the time goes; medians over fresh processes."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from coldpress.console import emit_json, emit_text, say, track
from coldpress.emulate.http import Reply
from coldpress.emulate.process import unpacked
from coldpress.emulate.requests import manifest_of, request_from_file, warmup_request
from coldpress.errors import ConfigError, EmulateError
from coldpress.measure import measure

__all__ = ["add_parser", "run"]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``bench`` to the command line."""
    parser = subparsers.add_parser("bench", help="measure a built function's cold start", description=__doc__)
    parser.add_argument("build", type=Path, help="what pack wrote (build/aws), a zip, or an unpacked function")
    parser.add_argument("--rounds", type=int, default=10, help="fresh processes to start (10)")
    parser.add_argument("--request", type=Path, help="file whose bytes are the body (default: the warm-up inputs)")
    parser.add_argument("--path", help="default: /v2/models/NAME/infer when `inputs` is a list, else /predict")
    parser.add_argument("--python", type=Path, help="the interpreter to run it with (default: one of its own version)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, then print a table, or JSON."""
    if args.rounds < 1:
        raise ConfigError(f"--rounds is {args.rounds}, expected 1 or more; leave it out for 10.")
    with unpacked(args.build) as folder:
        manifest = manifest_of(folder)
        if args.request is not None:
            request = request_from_file(args.request, manifest, path=args.path)
        elif manifest is not None:
            request = warmup_request(folder, manifest)
        else:
            raise EmulateError(
                f"{args.build} holds no coldpress.json, so nothing says what to send; add --request FILE."
            )

        def bar(steps: Iterator[int]) -> Iterator[int]:
            return track(steps, "Starting cold", args.rounds + 1)

        result = measure(
            folder,
            request,
            rounds=args.rounds,
            python=args.python,
            memory_mb=1024 if manifest is None else manifest.function.memory_mb,
            check=_check,
            track=bar,
        )
    if args.json:
        emit_json({"build": str(args.build)} | result.to_json())
        return 0
    emit_text(f"{'':12}{'median':>10}{'lowest':>10}{'highest':>10}{'empty function':>17}")
    for name, unit in (("init_ms", "ms"), ("first_ms", "ms"), ("warm_ms", "ms"), ("peak_mb", "MB")):
        spread = getattr(result, name)
        emit_text(
            f"{name:12}{spread.median:10.2f}{spread.low:10.2f}{spread.high:10.2f}"
            f"{result.floor[name].median:14.2f} {unit}"
        )
    if result.steps:
        emit_text("\nThe start, step by step (ms)")
        for name, ms in result.steps.items():
            emit_text(f"  {name.removesuffix('_ms'):14}{ms:8.2f}")
    say(f"{result.rounds} fresh processes each, Python {result.python}, page cache warm, CPU not limited.")
    return 0


def _check(reply: Reply) -> None:
    if not 200 <= reply.status < 300:
        said = reply.body[:200].decode("utf-8", "replace")
        raise EmulateError(
            f"The function answered {reply.status} to this request ({said}); measure one that it takes, with --request."
        )
