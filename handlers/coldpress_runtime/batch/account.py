"""What became of a job, and the manifest that accounts for every row of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from coldpress_runtime import __version__
from coldpress_runtime.errors import ConflictError

if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.batch.checkpoint import State
    from coldpress_runtime.batch.job import Job
    from coldpress_runtime.batch.layout import Layout

__all__ = ["Outcome", "done_before", "failure_of", "manifest_of"]


class Outcome(NamedTuple):
    """How a job ended.

    Attributes:
        status: ``done``; ``already-done``: another process has done it; ``failed``: too many rejects, or not readable
            at all; ``unfinished``: time is up, and whoever runs the job again goes on; ``gone``: the input was deleted
            or replaced, and what was done is forgotten.
        manifest: as it was written; empty without one.
        reason: why it failed, is unfinished or gone, in one sentence.
    """

    status: str
    manifest: dict[str, Any]
    reason: str = ""


def done_before(layout: Layout) -> Outcome | None:
    """What the manifest says, when there is one; what lies there of another job is a ConflictError."""
    there = layout.store.stat(layout.manifest)
    if there is None:
        return None
    manifest = json.loads(layout.store.read(layout.manifest, 0, there.size, there.version))
    if manifest.get("job") != layout.job:
        raise ConflictError(
            f"{layout.scores} is the result of another input, model or setting, as {layout.manifest} tells; delete "
            "both, or choose another name."
        )
    layout.store.delete(layout.checkpoint)  # whoever wrote the manifest may have died before it did
    status = "failed" if manifest["status"] == "failed" else "already-done"
    return Outcome(status, manifest, manifest["reason"])


def failure_of(state: State, most: float) -> str:
    """Why a job that has read its input to the end, or to the damage in it, has failed; empty when it has not."""
    rows = state.scored + state.rejected
    if not rows:
        return state.damage
    if state.rejected <= most * rows:
        return ""
    return f"{state.rejected} of {rows} rows were rejected, and at most a share of {most:g} may be; see the rejects."


def manifest_of(job: Job, state: State) -> dict[str, Any]:
    """The account of a job that is complete."""
    return {
        "format": 1,
        "job": job.layout.job,
        "status": "failed" if state.failure else "done",
        "reason": state.failure,
        "truncated": bool(state.damage),
        "input": {"url": job.url, "key": job.input.key, "size": job.input.size, "version": job.input.version},
        "model": job.model._asdict(),
        "rows": {"read": state.scored + state.rejected, "scored": state.scored, "rejected": state.rejected},
        "bytes": {"read": job.input.size, "written": state.scores.size + state.rejects.size},
        "seconds": {name: round(seconds, 3) for name, seconds in sorted(state.seconds.items())},
        "outputs": {
            "scores": None if state.failure else job.layout.scores,
            "rejects": job.layout.rejects if state.rejects.size else None,
        },
        "runs": state.runs,
        "coldpress": __version__,
    }
