"""What a message of the queue says of objects: S3's own notifications, EventBridge's, and what a job sends itself.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from coldpress_runtime.errors import InputError
from coldpress_runtime.json_text import describe

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Arrival", "arrivals"]


class Arrival(NamedTuple):
    """An object that somebody put into a bucket, or what is left of it to score.

    Attributes:
        bucket: its bucket.
        key: its name there.
        version: its ETag; empty: whichever is there.
        event: tells one upload from another of the same bytes to the same name.
        turn: how many invocations have worked on it.
        row: how many of its rows had been read by then.
        idle: how many invocations in a row came no further.
    """

    bucket: str
    key: str
    version: str
    event: str
    turn: int = 0
    row: int = 0
    idle: int = 0

    @property
    def url(self) -> str:
        """Where it lies."""
        return f"s3://{self.bucket}/{self.key}"

    def to_message(self) -> str:
        """Return the message from which ``arrivals`` reads this one."""
        return json.dumps({_OWN: self._asdict()})


_OWN = "coldpress"


def arrivals(message: str) -> list[Arrival]:
    """Return the objects of which a message says that they have arrived; none of any other event of S3.

    Raises:
        InputError: it is no such message.
    """
    try:
        body = json.loads(message)
        if _OWN in body:
            return [Arrival(**body[_OWN])]
        if body.get("source") == "aws.s3":
            return [_from_eventbridge(body["detail"])] if body["detail-type"] == "Object Created" else []
        if body.get("Event") == "s3:TestEvent":
            return []
        return [_from_s3(record["s3"]) for record in body["Records"] if _tells_of_object(record)]
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f"The queue holds {describe(message)}, which is no event of S3; let nothing but the bucket send to it."
        ) from None


def _tells_of_object(record: dict[str, Any]) -> bool:
    return bool(record["eventSource"] == "aws:s3" and record["eventName"].startswith("ObjectCreated:"))


def _from_s3(told: dict[str, Any]) -> Arrival:
    item = told["object"]
    # Notifications have keys as forms have them: `a+b%2Bc` is `a b+c`.
    key = unquote_plus(item["key"])
    return Arrival(told["bucket"]["name"], key, item.get("eTag", ""), item.get("sequencer", ""))


def _from_eventbridge(detail: dict[str, Any]) -> Arrival:
    item = detail["object"]  # with the key as it is
    return Arrival(detail["bucket"]["name"], item["key"], item.get("etag", ""), item.get("sequencer", ""))
