"""Azure: a queue of Event Grid's news of blobs, each scored row by row.

Event Grid itself waits half a minute for an answer, and the host's blob trigger reads a blob as a whole. So Event Grid
puts its events into a queue, whose messages stay hidden for as long as a function is at work on them.

What becomes of a message:

- its blob is scored, or has been, or is gone, or cannot be scored whoever tries, as its manifest and an error in the
  log say: it is done with;
- time is up before all rows are scored: the function puts a message of its own into the queue, with what is left;
- another process is at work on the blob, the store refuses, or something breaks: it comes again after a while, and is
  moved to the poison queue when that has happened too often.
"""

from __future__ import annotations

import json
import logging
import os
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from coldpress_runtime.batch.runner import IDLE_TURNS
from coldpress_runtime.batch.storage_events import Uploads
from coldpress_runtime.batch.stores.blob import BlobStore
from coldpress_runtime.errors import BatchError, ColdpressError, InputError
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["QUEUE", "Arrival", "arrival_of", "make_score_upload"]

QUEUE = "coldpress-uploads"
_OWN = "coldpress"
_SERVICE = "UPLOADS__blobServiceUri"
_TIMEOUT = "AzureFunctionsJobHost__functionTimeout"
_LIMIT_S = 1800.0  # the host's own, where nobody says another

_logger = logging.getLogger("coldpress")


class Arrival(NamedTuple):
    """A blob that somebody uploaded, or what is left of it to score.

    Attributes:
        key: its name in the container.
        row: how many of its rows have been read.
        idle: how many runs of the function in a row came no further.
    """

    key: str
    row: int = 0
    idle: int = 0

    def to_message(self) -> str:
        """Return the message from which ``arrival_of`` reads this one."""
        return json.dumps({_OWN: self._asdict()})


def arrival_of(message: bytes, service: str, container: str) -> Arrival | None:
    """Return the blob of which a message tells; None when it is in another container, or the event is another one.

    Args:
        message: an event of Event Grid's own schema, or a message of this function's.
        service: the address of the account's blobs.
        container: the one that is watched.

    Raises:
        InputError: it is neither.
    """
    try:
        document = json.loads(message)
        if _OWN in document:
            return Arrival(**document[_OWN])
        if document["eventType"] != "Microsoft.Storage.BlobCreated":
            return None
        path = urlsplit(document["data"]["url"].strip()).path
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"The queue holds {describe(message.decode('utf-8', 'replace'))}, which is no event of Event Grid's; let "
            "nobody else send to it."
        ) from None
    prefix = f"{urlsplit(service).path.rstrip('/')}/{container}/"
    return Arrival(unquote(path.removeprefix(prefix))) if path.startswith(prefix) else None


def make_score_upload(container: str, root: str | None = None) -> Callable[[bytes], str | None]:
    """Return what takes the queue's messages, and returns the message with what is left to do, if anything is."""
    uploads = Uploads(root)
    service = os.environ[_SERVICE]
    stores: list[BlobStore] = []

    def score_upload(message: bytes) -> str | None:
        end = monotonic() + _time_limit()
        arrival = arrival_of(message, service, container)
        if arrival is None:
            _logger.info("an event is passed over: it tells of no new blob in %s", container)
            return None
        if not stores:
            stores.append(BlobStore(service, container))
        url = stores[0].url(arrival.key)
        try:
            score = uploads.score(stores[0], arrival.key, url, lambda: end - monotonic())
        except ColdpressError as error:
            _logger.warning("%s: %s", url, error)
            raise
        _logger.log(logging.ERROR if score.has_failed else logging.INFO, json.dumps(score.to_record(url)))
        if score.outcome.status != "unfinished":
            return None
        idle = arrival.idle + 1 if score.row <= arrival.row else 0
        if idle >= IDLE_TURNS:
            raise BatchError(
                f"{url}: {idle} runs came no further than row {arrival.row}; give the function more time "
                "(batch.timeout_s) or memory (targets.azure.memory_mb)."
            )
        return Arrival(arrival.key, max(score.row, arrival.row), idle).to_message()

    return score_upload


def _time_limit() -> float:
    """The host's functionTimeout, which the app's settings say: ``hh:mm:ss``."""
    text = os.environ.get(_TIMEOUT, "")
    if not text:
        return _LIMIT_S
    hours, minutes, seconds = map(int, text.split(":"))
    return float(hours * 3600 + minutes * 60 + seconds)
