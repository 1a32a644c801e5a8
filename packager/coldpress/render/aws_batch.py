"""What ``templates/aws`` adds where uploads are scored: the pieces in ``templates/aws/batch``, and their values."""

import json
import re
from collections.abc import Callable, Mapping
from textwrap import indent

from coldpress.config import BatchConfig
from coldpress.errors import TemplateError
from coldpress.render.template import quote
from coldpress.render.values import between

__all__ = ["UPLOAD_EVENTS", "batch_holes", "batch_pieces", "check_batch", "variable_lines"]

UPLOAD_EVENTS = ("s3", "eventbridge")
_TOLERATED_PERCENT = "10"  # of a Map's batches that are given up, before it goes on no further
_VISIBILITY = 6  # times the function's timeout, as Lambda asks of a queue that it polls
# What somebody adds to a bucket of his own, so that its uploads are heard of.
_BUCKET_SETTINGS = {
    "s3": "a notification of `s3:ObjectCreated:*` to the queue",
    "eventbridge": "`EventBridgeConfiguration` to them",
}
_PIECES = ("conditions", "file", "outputs", "parameters", "readme", "resources")


def check_batch(batch: BatchConfig) -> None:
    """Refuse what Lambda or SQS would refuse, or a policy misread.

    Raises:
        TemplateError: it is such.
    """
    between("batch.memory_mb", batch.memory_mb, 128, 10_240)
    between("batch.timeout_s", batch.timeout_s, 60, 900)
    between("batch.concurrency", batch.concurrency, 2, 1000)
    for name, prefix in (("input", batch.input), ("output", batch.output)):
        if not re.fullmatch(r"[A-Za-z0-9_./-]+", prefix):
            raise TemplateError(
                f"batch.{name} is {prefix!r}, which a filter or a policy would read otherwise: use letters, digits and "
                "any of _ . / -"
            )


def batch_pieces(batch: BatchConfig | None, events: str, piece: Callable[..., str], traces: str) -> dict[str, str]:
    """Return what the function that scores uploads adds to each file, nothing where there is none.

    Args:
        batch: the settings.
        events: one of :data:`UPLOAD_EVENTS`.
        piece: fills one file of ``templates/aws``.
        traces: the policy that lets a function write traces, or nothing.
    """
    if batch is None:
        return dict.fromkeys(_PIECES, "")
    bridge = events == "eventbridge"
    resources = piece(
        "batch/resources.yaml",
        # S3 tries whether it may send to the queue when it is told to.
        after_policy="" if bridge else "    DependsOn: UploadQueuePolicy",
        notification=piece(f"batch/{events}.yaml"),
        sender=piece(f"batch/{events}_sender.yaml", queue="UploadQueue"),
        dead_sender=piece(f"batch/{events}_sender.yaml", queue="DeadLetters") if bridge else "",
        rule=piece("batch/eventbridge_rule.yaml") if bridge else "",
        traces=traces,
        state_machine=_state_machine(piece, traced=bool(traces)),
    )
    plain = {name: piece(f"batch/{name}.yaml") for name in ("conditions", "outputs", "parameters")}
    readme = piece("batch/README.md", bucket_setting=_BUCKET_SETTINGS[events])
    file = "| `batch.zip` | the code package of the function that scores uploads |"
    return {**plain, "resources": resources, "readme": readme, "file": file}


def _state_machine(piece: Callable[..., str], *, traced: bool) -> str:
    sampling = piece("batch/sampling.yaml") if traced else ""
    retry = piece("batch/retry.yaml")
    maps = {
        # What could not be surveyed is read through from its start.
        "survey": {"list": "items", "state": "Survey", "tolerated": "100", "failed": "Arrange"},
        "score": {"list": "items", "state": "Score", "tolerated": _TOLERATED_PERCENT, "failed": "AnythingToGather"},
        "gather": {"list": "gathers", "state": "Gather", "tolerated": _TOLERATED_PERCENT, "failed": "Report"},
    }
    inner = indent(retry, "      ")
    filled = {name: piece("batch/map.yaml", retry=inner, **words) for name, words in maps.items()}
    return piece("batch/state_machine.yaml", retry=retry, sampling=sampling, **filled)


def batch_holes(batch: BatchConfig, model: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what fills the holes of the pieces, each in the spelling of its place."""
    return {
        "batch_concurrency": str(batch.concurrency),
        "batch_memory_mb": str(batch.memory_mb),
        "batch_timeout_s": str(batch.timeout_s),
        "batch_visibility_s": str(_VISIBILITY * batch.timeout_s),
        "environment_variables": variable_lines(environment),
        "input": batch.input,
        "model_in_json": quote(json.dumps(model)[1:-1]),
        "output": batch.output,
    }


def variable_lines(variables: Mapping[str, str]) -> str:
    """Return a function's variables as lines of its ``Environment``."""
    return "\n".join(f"          {name}: {quote(value)}" for name, value in variables.items())
