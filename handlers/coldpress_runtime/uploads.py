"""Scoring what is uploaded to a bucket: every provider's storage event comes down to one :class:`Upload`.

The object's bytes are the body of ``POST /predict``, and the answer becomes an object beside it. Settings:

=========================== =========================================================================================
``COLDPRESS_INPUT_PREFIX``  only objects below it are scored; ``uploads/`` by default, empty: the whole bucket
``COLDPRESS_OUTPUT_PREFIX`` where answers go; ``scores/`` by default
=========================== =========================================================================================

``uploads/a/b.json`` is answered in ``scores/a/b.json.json``; what the sender would have to mend (a 4xx) in
``scores/a/b.json.error.json``, because to try again would not help. Where trying again may help, an error is raised,
and the provider sends the event again. Where the model is at an endpoint that answers later, ``.queue.json`` holds the
job that the function can be asked for. An object that this function wrote is never scored, or it would go round for
ever. Events may come twice: the answer depends on the upload alone, so the second writes the same bytes once more.
"""

from __future__ import annotations

import os
import sys

from coldpress_runtime.errors import ColdpressError, MediaTypeError, TooLargeError
from coldpress_runtime.http import Request, Response
from coldpress_runtime.json_text import describe
from coldpress_runtime.refusals import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from coldpress_runtime.service import Service

__all__ = ["Upload", "answer_upload", "input_prefix", "output_prefix"]

#: What stores say of an object whose type nobody told them; the runtime then takes it for JSON, as with no type.
_UNKNOWN_TYPES = ("application/octet-stream", "binary/octet-stream")
_QUEUED, _BUSY = 202, 429
_ERROR = ".error.json"
_LONGEST_KEY = 1023  # bytes: OSS's limit; Cloud Storage and Azure take one more


class Upload:
    """One object that somebody put into a bucket.

    Attributes:
        bucket: the bucket, or the container.
        key: the object's name, without the bucket and without a leading ``/``.
        content_type: as the store says, maybe empty.
        size: in bytes.
        version: what tells this object from the one before it of the same name: a generation, an ETag.
        encoding: the compression in which its bytes are kept, and will be read; mostly empty. Known when they are read.
    """

    __slots__ = ("bucket", "content_type", "encoding", "key", "size", "version")

    def __init__(self, bucket: str, key: str, content_type: str, size: int, version: str, encoding: str = "") -> None:
        self.bucket = bucket
        self.key = key
        self.content_type = content_type
        self.encoding = encoding
        self.size = size
        self.version = version


def input_prefix() -> str:
    """Where uploads are expected."""
    return os.environ.get("COLDPRESS_INPUT_PREFIX", "uploads/")


def output_prefix() -> str:
    """Where answers go; never empty, since every upload would lie below it."""
    return os.environ.get("COLDPRESS_OUTPUT_PREFIX") or "scores/"


def answer_upload(
    service: Service,
    upload: Upload,
    read: Callable[[], bytes],
    write: Callable[[str, bytes], object],
    record: Callable[[Request, Response], object] | None = None,
) -> str | None:
    """Score an uploaded object and write the answer beside it.

    Args:
        service: the loaded function.
        upload: what the provider's event tells of the object.
        read: returns the object's bytes; raises FileNotFoundError when the object is gone or has been replaced.
        write: puts a JSON document into the bucket under a key.
        record: is told of the request and its response before anything is written, for a log.

    Returns:
        The key that was written; None when the object is none that is scored.

    Raises:
        ColdpressError: the service failed, or was too busy; the same event may do better later.
    """
    if reason := _not_scored(upload):
        _say_skipped(upload, reason)
        return None
    content_type = "" if upload.content_type in _UNKNOWN_TYPES else upload.content_type
    request = Request("POST", "/predict", {"content-type": content_type})
    limit = service.manifest.limits.request_bytes
    if upload.size > limit:  # known before a byte of it is in memory
        response = refusal(
            TooLargeError(f"The object has {upload.size} bytes and this function takes at most {limit}.")
        )
    else:
        try:
            request.body = read()
        except FileNotFoundError:
            _say_skipped(upload, "it is not there any more")
            return None
        if upload.encoding:
            request.headers["content-encoding"] = upload.encoding
        response = _as_json(service.answer(request))
    if record is not None:
        record(request, response)
    if response.status >= 500 or response.status == _BUSY:
        raise ColdpressError(str(response.error or f"The answer to {upload.key} has status {response.status}."))
    end = ".queue.json" if response.status == _QUEUED else ".json" if response.status < 400 else _ERROR
    key = _answer_key(upload, end)
    write(key, response.body)
    return key


def _answer_key(upload: Upload, end: str) -> str:
    return output_prefix() + upload.key[len(input_prefix()) :] + end


def _not_scored(upload: Upload) -> str:
    """Why an object is none that is scored, or nothing."""
    if upload.key.startswith(output_prefix()):
        return f"it lies below {output_prefix()}, where answers go"
    if not upload.key.startswith(input_prefix()):
        return f"it does not lie below {input_prefix()}"
    if upload.size == 0:
        return "it is empty"
    if len(_answer_key(upload, _ERROR).encode()) > _LONGEST_KEY:
        return f"its answer's name would be longer than the {_LONGEST_KEY} bytes that every store takes"
    return ""


def _say_skipped(upload: Upload, reason: str) -> None:
    sys.stderr.write(f"coldpress: {describe(upload.key)} is not scored: {reason}.\n")
    sys.stderr.flush()


def _as_json(response: Response) -> Response:
    """The response, or a refusal of one that a hook made in another format: answers are JSON objects."""
    if response.is_json:
        return response
    found = describe(response.headers.get("Content-Type", ""))
    return refusal(MediaTypeError(f"postprocess answers with {found}; for uploads let it return what JSON can hold."))
