"""``coldpress score``: score files row by row with a built function, on all cores; run again, it goes on."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldpress.console import emit_json, emit_text, say
from coldpress.errors import ConfigError

if TYPE_CHECKING:
    from coldpress.score.function import BatchFunction
    from coldpress.score.local import LocalEngine
    from coldpress.score.plan import Plan
    from coldpress_runtime.batch.job import Job, Outcome
    from coldpress_runtime.batch.options import Options

__all__ = ["add_parser", "run"]

_FORMATS = ("csv", "jsonl", "parquet", "npy", "files")
_GOOD = ("done", "already-done")
_LISTED = 10


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``score`` to the command line."""
    parser = subparsers.add_parser("score", help="score files row by row with a built function", description=__doc__)
    parser.add_argument("places", nargs="+", metavar="SRC... DST",
                        help="files, globs, folders, or s3://, gs://, az:// places; and where scores go: a file "
                        "(.jsonl, .csv, .parquet or .npz), or a folder or prefix, with a slash at its end")  # fmt: skip
    parser.add_argument("--bundle", type=Path, required=True, metavar="BUILD",
                        help="what pack wrote (build/aws), a zip, or an unpacked function")  # fmt: skip
    parser.add_argument("--format", choices=_FORMATS, help="what SRC holds (default: as its name and content say)")
    parser.add_argument("--columns", metavar="A,B", help="of a table, the columns that the model takes, in its order")
    parser.add_argument("--outputs", metavar="X,Y", help="of the model, the outputs to write (all)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that score (one a core)")
    parser.add_argument("--max-rejects", type=float, metavar="X",
                        help="the share of rejected rows above which nothing is published (0.1)")  # fmt: skip
    parser.add_argument("--engine", choices=("local", "ray", "step-functions"), default="local",
                        help="where it is done (local)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace what is at DST, whoever wrote it")
    parser.add_argument("--dry-run", action="store_true", help="say how much there is, how long it takes here, and "
                        "what it costs at the bundle's provider")  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Score, then say what was written; 0 when all of it was."""
    from coldpress.score.function import prepared  # noqa: PLC0415  (kept off the path of `coldpress --help`)
    from coldpress.score.local import LocalEngine, own_cores  # noqa: PLC0415
    from coldpress.score.plan import make_plan  # noqa: PLC0415
    from coldpress.score.sources import find_inputs  # noqa: PLC0415
    from coldpress_runtime.batch.layout import Model  # noqa: PLC0415
    from coldpress_runtime.batch.tables import EXTENSIONS  # noqa: PLC0415

    if len(args.places) < 2:
        raise ConfigError(f"Only {args.places[0]} is named: expected what to score, and where the scores go.")
    workers = args.workers or own_cores()
    if workers < 1:
        raise ConfigError(f"--workers is {args.workers}; expected 1 or more; leave it out for one a core.")
    *sources, destination = args.places
    if args.engine == "step-functions":
        return _score_in_aws(args, sources, destination)
    with prepared(args.bundle) as function:
        options = _options(args, function, destination)
        if args.engine == "ray" and options.output_format in EXTENSIONS:
            raise ConfigError(f"Ray writes .jsonl or .csv, and {destination} is to be a table; choose one of these.")
        manifest = function.manifest
        model = Model(manifest.name, manifest.version, manifest.model.sha256)
        with LocalEngine(function, options, workers) as engine:
            if args.engine == "local" and not args.dry_run:
                engine.pool()
            found = find_inputs(sources, args.format or "")
            plan = make_plan(found, destination, model, options, engine.open_scoring, overwrite=args.overwrite)
            if found.passed:
                say(f"Passed over, of kinds that are not scored: {_count(found.passed, 'file')}.")
            if args.dry_run:
                return _estimate(args, plan, function, workers)
            outcomes = _score(args, plan, engine)
    if outcomes is None:
        return 1
    return _report(args, plan, outcomes)


def _score_in_aws(args: argparse.Namespace, sources: "Sequence[str]", destination: str) -> int:
    """Have the deployed stack score; 0 when it has scored all objects."""
    from coldpress.score.step_functions import score_on_step_functions  # noqa: PLC0415

    if len(sources) != 1:
        raise ConfigError(f"{len(sources)} places are named to score; Step Functions take one object or prefix a run.")
    for name in ("format", "columns", "outputs", "workers", "max_rejects", "overwrite", "dry_run"):
        if getattr(args, name):
            raise ConfigError(
                f"--{name.replace('_', '-')} is for what runs here; the function that is deployed goes by [batch] of "
                "coldpress.toml: set it there, pack and deploy."
            )
    try:
        manifest = score_on_step_functions(sources[0], destination, args.bundle)
    except KeyboardInterrupt:
        say("The execution goes on in AWS; run the same command again to wait for it.")
        return 1
    if args.json:
        emit_json(dict(manifest))
    else:
        rows = manifest["rows"]
        counts = ", ".join(f"{count:,} {status}" for status, count in manifest["objects"].items() if count)
        emit_text(f"{counts}; {rows['scored']:,} rows scored, {rows['rejected']:,} rejected.")
        for failed in manifest["failed"][:_LISTED]:
            say(f"{failed['key']} is not scored: {failed['reason']}")
    return 0 if manifest["status"] == "done" else 1


def _options(args: argparse.Namespace, function: "BatchFunction", destination: str) -> "Options":
    from coldpress.score.plan import output_format  # noqa: PLC0415
    from coldpress_runtime.batch.options import Options  # noqa: PLC0415

    batch = function.manifest.batch
    share = args.max_rejects if args.max_rejects is not None else batch.max_rejects if batch else 0.1
    if not 0 <= share <= 1:
        raise ConfigError(f"--max-rejects is {share}; expected a share from 0 to 1, such as 0.1.")
    return Options(
        input_format=args.format or "",
        output_format=output_format(destination, batch.format if batch else "jsonl"),
        columns=_names(args.columns) if args.columns else batch.columns if batch else (),
        outputs=_names(args.outputs) if args.outputs else batch.outputs if batch else (),
        max_rejects=share,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _score(args: argparse.Namespace, plan: "Plan", engine: "LocalEngine") -> "list[Outcome] | None":
    """Do the jobs; None when somebody stopped it."""
    from coldpress.score.progress import scoring_bar  # noqa: PLC0415

    try:
        with scoring_bar(plan.bytes) as tell:
            if args.engine == "ray":
                from coldpress.score.ray import score_on_ray  # noqa: PLC0415

                return score_on_ray(plan.jobs, plan.base or ".", args.bundle, workers=args.workers, progress=tell)
            return list(engine.score(plan.jobs, tell))
    except KeyboardInterrupt:
        say("Stopped; what is scored is kept: run the same command again to go on.")
        return None


def _report(args: argparse.Namespace, plan: "Plan", outcomes: "Sequence[Outcome]") -> int:
    done = all(outcome.status in _GOOD for outcome in outcomes)
    if args.json:
        emit_json(_sum(plan, outcomes))
        return 0 if done else 1
    shown = list(zip(plan.jobs, outcomes, strict=True))
    if len(shown) > _LISTED:
        shown = [(job, outcome) for job, outcome in shown if outcome.status not in _GOOD]
    for job, outcome in shown:
        (emit_text if outcome.status in _GOOD else say)(_line(plan, job, outcome))
    if len(outcomes) > 1:
        total = _sum(plan, outcomes)
        rows = total["rows"]
        emit_text(
            f"{len(outcomes):,} inputs: {_count(rows['scored'], 'row')} scored, {rows['rejected']:,} rejected, in "
            f"{total['seconds']:,.1f} s."
        )
    return 0 if done else 1


def _line(plan: "Plan", job: "Job", outcome: "Outcome") -> str:
    """Say how one job ended."""
    scores, rejects = plan.result(job), plan.base + job.layout.rejects
    if outcome.status not in _GOOD:
        seen = f" The rejects are in {rejects}." if outcome.manifest.get("outputs", {}).get("rejects") else ""
        return f"{job.url} is not scored: {outcome.reason}{seen}"
    rows, seconds = outcome.manifest["rows"], outcome.manifest["seconds"]["total"]
    bad = f", {_count(rows['rejected'], 'reject')} in {rejects}" if rows["rejected"] else ", no rejects"
    if outcome.status == "already-done":
        return f"{scores} is done already: {_count(rows['scored'], 'row')}{bad}. Nothing was scored."
    speed = f" in {seconds:,.1f} s, {rows['read'] / seconds:,.0f} rows/s" if seconds and rows["read"] else ""
    cut = " The input is damaged at its end." if outcome.manifest["truncated"] else ""
    return f"{scores}: {_count(rows['scored'], 'row')}{speed}{bad}.{cut}"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _sum(plan: "Plan", outcomes: "Sequence[Outcome]") -> dict[str, Any]:
    """Return the sum of the manifests, and each of them."""
    manifests = [outcome.manifest for outcome in outcomes if outcome.manifest]
    seconds = sum(manifest["seconds"]["total"] for manifest in manifests)
    rows = {key: sum(manifest["rows"][key] for manifest in manifests) for key in ("read", "scored", "rejected")}
    bad = [outcome.status for outcome in outcomes if outcome.status not in _GOOD]
    return {
        "status": bad[0] if bad else "done",
        "rows": rows,
        "bytes": {key: sum(manifest["bytes"][key] for manifest in manifests) for key in ("read", "written")},
        "seconds": round(seconds, 3),
        "rows_per_s": round(rows["read"] / seconds, 1) if seconds else None,
        "jobs": [
            {**outcome.manifest, "status": outcome.status, "reason": outcome.reason, "url": job.url,
             "scores": plan.result(job)}
            for job, outcome in zip(plan.jobs, outcomes, strict=True)
        ],
    }  # fmt: skip


def _estimate(args: argparse.Namespace, plan: "Plan", function: "BatchFunction", workers: int) -> int:
    from coldpress.score.price import estimate  # noqa: PLC0415

    found = estimate(plan, function, workers)
    if args.json:
        emit_json(found.to_json())
    else:
        emit_text(found.text())
    return 0
