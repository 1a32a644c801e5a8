"""Google Cloud: Eventarc's news of uploads, each scored row by row.

What becomes of an event:

- its object is scored, or has been, or is gone, or cannot be scored whoever tries, as its manifest and an ERROR in the
  log say: the event is done with;
- time is up before all rows are scored, or another process is at work on them: the event is to come again, and goes on
  where the one before stopped;
- the store refuses, or something breaks: the event is to come again.

An event comes again when it is answered with an error, and also when Pub/Sub below Eventarc has waited ten minutes for
an answer; it then finds the job at work.
"""

from __future__ import annotations

import json
import os
import sys
from time import monotonic
from typing import TYPE_CHECKING

from coldpress_runtime.batch.storage_events import Uploads
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.errors import ColdpressError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coldpress_runtime.batch.stores import Store
    from coldpress_runtime.uploads import Upload

__all__ = ["make_score_upload"]

_MOST_VCPUS = 8  # of an instance
_LIMIT_S = 300.0  # Cloud Run's own, where nobody says another


def make_score_upload(root: str | None = None) -> Callable[[Upload], None]:
    """Return what takes the uploads of which events tell; flask answers 503 where it raises HTTPException."""
    import flask  # noqa: PLC0415 - functions-framework brings it

    uploads = Uploads(root, min(os.cpu_count() or 1, _MOST_VCPUS))
    stores: dict[str, Store] = {}  # a function watches one bucket

    def score_upload(upload: Upload) -> None:
        end = monotonic() + float(os.environ.get("CLOUD_RUN_TIMEOUT_SECONDS") or _LIMIT_S)
        url = f"gs://{upload.bucket}/{upload.key}"
        try:
            if upload.bucket not in stores:
                stores[upload.bucket], _ = open_store(f"gs://{upload.bucket}/")
            score = uploads.score(stores[upload.bucket], upload.key, url, lambda: end - monotonic())
        except ColdpressError as error:
            may_pass = isinstance(error, ConflictError | StoreError)
            _log("WARNING" if may_pass else "ERROR", {"message": f"{url}: {error}", "object": url, "status": "again"})
            flask.abort(503, str(error))
        _log("ERROR" if score.has_failed else "INFO", score.to_record(url))
        if score.outcome.status == "unfinished":
            flask.abort(503, score.outcome.reason)

    return score_upload


def _log(severity: str, record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"severity": severity, **record}) + "\n")
    sys.stdout.flush()
