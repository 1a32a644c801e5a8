"""A bucket of S3, or of anything that speaks like it.

``AWS_ENDPOINT_URL`` and the other settings of AWS's SDK work as they do everywhere. The SDK tries again where S3 is
busy or out of order, more slowly the busier it is. Writes have conditions: a version is an ETag.

What a role needs: ``s3:GetObject`` on the input; ``s3:GetObject``, ``s3:PutObject``, ``s3:DeleteObject`` and
``s3:AbortMultipartUpload`` on the output; and on the bucket ``s3:ListBucket``, without which S3 does not tell a missing
object from a forbidden one, and ``s3:ListBucketMultipartUploads``, without which uploads that killed processes left
behind stay until a lifecycle rule clears them away.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.batch.stores.marked import content_type, holds
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

__all__ = ["S3Store", "open_place"]

_PART_BYTES = 8 << 20
_ATTEMPTS = 8
_BUSY_S = 0.1  # doubled at every try

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "412", "InvalidRange", "416"})
_LOST = frozenset({"NoSuchUpload", "InvalidPart", "InvalidPartOrder"})
_BUSY = frozenset({"ConditionalRequestConflict", "OperationAborted", "409"})
_DENIED = frozenset({"AccessDenied", "403", "Forbidden", "AllAccessDisabled"})


def open_place(place: str) -> tuple[S3Store, str]:
    """Return the store of ``bucket/key``, and the key."""
    bucket, _, key = place.partition("/")
    if not bucket:
        raise StoreError(f"s3://{place} names no bucket; expected s3://bucket/key.")
    return S3Store(bucket), key


class S3Store:
    """The objects of a bucket.

    Args:
        bucket: its name.
        part_bytes: how large parts of uploads are; S3 takes none below 5 MiB but the last.
    """

    def __init__(self, bucket: str, part_bytes: int = _PART_BYTES) -> None:
        import boto3  # noqa: PLC0415 - takes a third of a second
        from botocore.config import Config  # noqa: PLC0415

        self.part_bytes = part_bytes
        self._bucket = bucket
        self._client = boto3.client(
            "s3",
            config=Config(
                retries={"mode": "adaptive", "max_attempts": _ATTEMPTS},
                # Parts are told apart by their ETags; other stores than S3 do not know the SDK's own checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def stat(self, key: str) -> Stat | None:
        """Return what is known of an object, None when there is none."""
        with self._told("s3:GetObject", key):
            try:
                found = self._client.head_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.ClientError as error:
                if self._is_missing(error, key):
                    return None
                raise
        return Stat(key, found["ContentLength"], _version(found), found.get("ContentType", ""))

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return the bytes from ``start`` to ``stop`` of that version; raises ChangedError when it is not there."""
        with self._told("s3:GetObject", key):
            try:
                return self._body(key, f"bytes={start}-{stop - 1}", version)
            except self._client.exceptions.ClientError as error:
                if self._is_missing(error, key):
                    raise ChangedError(f"{self._name(key)} is gone.") from None
                if _code(error) in _CHANGED:
                    raise ChangedError(f"{self._name(key)} has been replaced.") from None
                raise

    def _body(self, key: str, span: str, version: str) -> bytes:
        """Get bytes, again where the connection breaks on the way: the SDK sees to an answer's beginning alone."""
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError  # noqa: PLC0415

        def get() -> bytes:
            found = self._client.get_object(Bucket=self._bucket, Key=key, Range=span, IfMatch=f'"{version}"')
            with closing(found["Body"]) as body:
                data: bytes = body.read()
                return data

        for _ in range(_ATTEMPTS - 1):
            with suppress(IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                return get()
        return get()

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the objects whose names begin with ``prefix``, sorted; no markers of folders."""
        with self._told("s3:ListBucket", prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    if not (found["Key"].endswith("/") and found["Size"] == 0):
                        yield Stat(found["Key"], found["Size"], _version(found))

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str:
        """Write a whole object and return its version; raises ConflictError when another one is there than expected."""
        condition = {} if replaces is None else {"IfMatch": f'"{replaces}"'} if replaces else {"IfNoneMatch": "*"}
        with self._told("s3:PutObject", key):
            try:
                return _version(
                    _first(
                        self._client.put_object,
                        Bucket=self._bucket,
                        Key=key,
                        Body=data,
                        ContentType=content_type(key),
                        **condition,
                    )
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _MISSING | _CHANGED:
                    raise
        # The answer to a first attempt may have been lost on the way: then what is there is this very object.
        there = self.stat(key)
        if there is not None and holds(self, there, data):
            return there.version
        raise ConflictError(f"{self._name(key)} has been written by somebody else in the meantime.")

    def delete(self, key: str) -> None:
        """Remove an object; there need not be one."""
        with self._told("s3:DeleteObject", key):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def begin(self, key: str) -> dict[str, Any]:
        """Start an upload in parts; its token names it."""
        with self._told("s3:PutObject", key):
            made = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ContentType=content_type(key))
        return {"key": key, "upload": made["UploadId"]}

    def add(self, token: dict[str, Any], number: int, data: bytes) -> str:
        """Upload a part; its tag is its number and its ETag."""
        key = token["key"]
        with self._told("s3:PutObject", key):
            made = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=token["upload"], PartNumber=number, Body=data
            )
        return f"{number} {_version(made)}"

    def finish(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Make the object of its parts; raises ConflictError when there is one, or the upload or a part is no more."""
        key = token["key"]
        parts = [{"PartNumber": int(number), "ETag": etag} for number, _, etag in (tag.partition(" ") for tag in tags)]
        self._abandon_uploads(key, but=token["upload"])
        with self._told("s3:PutObject", key):
            try:
                _first(
                    self._client.complete_multipart_upload,
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=token["upload"],
                    MultipartUpload={"Parts": parts},
                    IfNoneMatch="*",
                )
            except self._client.exceptions.ClientError as error:
                if _code(error) in _CHANGED:
                    raise ConflictError(f"{self._name(key)} exists already; it is left as it is.") from None
                raise

    def abandon(self, token: dict[str, Any]) -> None:
        """Give up every upload of the key."""
        self._abandon(token["key"], token["upload"])
        self._abandon_uploads(token["key"])

    def _abandon(self, key: str, upload: str) -> None:
        with suppress(ConflictError), self._told("s3:AbortMultipartUpload", key):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)

    def _abandon_uploads(self, key: str, but: str = "") -> None:
        """Give up what processes began that died before they could tell anybody."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=key)
        uploads = []
        with self._told("s3:ListBucketMultipartUploads", key):
            try:
                for page in pages:
                    uploads += [item["UploadId"] for item in page.get("Uploads", ()) if item["Key"] == key]
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _DENIED:
                    raise
        for upload in uploads:
            if upload != but:
                self._abandon(key, upload)

    def _is_missing(self, error: Exception, key: str) -> bool:
        """Whether an object is not there, which S3 tells by a denial to a role that may list some prefixes alone."""
        if _code(error) not in _DENIED:
            return _code(error) in _MISSING
        try:
            first = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key, MaxKeys=1).get("Contents", ())
        except self._client.exceptions.ClientError:
            return False
        return key not in [found["Key"] for found in first]

    def _name(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    @contextmanager
    def _told(self, action: str, key: str) -> Iterator[None]:
        """Say in one sentence what S3 refuses; an upload that is no more is a ConflictError."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            code, status = _code(error), error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
            if code in _LOST:
                raise ConflictError(f"The upload of {self._name(key)} is no more, or a part of it.") from error
            if code in _DENIED:
                told = f"S3 denies {action} on {self._name(key)}; allow it in the role's policy."
                if action == "s3:GetObject":
                    told = (
                        told[:-1] + ", and s3:ListBucket on the bucket, without which a missing object looks the same."
                    )
            elif code == "NoSuchBucket":
                told = f"There is no bucket {self._bucket}; look at its name and at the region."
            elif status >= 500 or status == 429:
                told = f"S3 is too busy for {action} on {self._name(key)} after {_ATTEMPTS} attempts; try again later."
            else:
                told = f"S3 refuses {action} on {self._name(key)}: {error.response['Error'].get('Message') or code}"
            raise StoreError(told) from error
        except BotoCoreError as error:
            raise StoreError(f"S3 cannot be asked for {self._name(key)}: {str(error).rstrip('.')}.") from error


def _first(call: Callable[..., Any], **arguments: Any) -> Any:
    """Make a call with a condition; while S3 answers that it is busy with somebody else's, ask again who was first."""
    for attempt in range(_ATTEMPTS - 1):
        try:
            return call(**arguments)
        except Exception as error:
            if _code(error) not in _BUSY:
                raise
            time.sleep(_BUSY_S * 2**attempt)
    return call(**arguments)


def _code(error: Any) -> str:
    """What S3 calls an error; empty for one that S3 never saw."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _version(found: dict[str, Any]) -> str:
    return str(found["ETag"]).strip('"')
