"""A bucket of Cloud Storage. Writes have conditions: a version is a generation.

Google's client tries again where the store is busy or out of order. It takes the account of the function, or on a
laptop what ``gcloud auth application-default login`` left there; ``STORAGE_EMULATOR_HOST`` leads to an emulator.

Cloud Storage has no uploads in parts that several processes could go on with under a condition. An upload is therefore
a folder beside the object that it will become, ``KEY.parts/``: an empty object that stands for the upload, and an
object for each part, whose name nobody ever takes twice. In the end the store composes the parts, and they are deleted.

What an account needs: ``storage.objects.get`` on the input; ``storage.objects.get``, ``create`` and ``delete`` on the
output; ``storage.objects.list`` on the bucket, without which the store does not tell a missing object from a forbidden
one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.batch.stores.marked import MarkedUploads, content_type, folder_of, holds, marker_of
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["GcsStore", "open_place"]

_PART_BYTES = 16 << 20  # an object is written once a second at most: the checkpoint, at every part
_COMPOSED = 32  # sources of one object
_AT_ONCE = 16


def open_place(place: str) -> tuple[GcsStore, str]:
    """Return the store of ``bucket/key``, and the key."""
    bucket, _, key = place.partition("/")
    if not bucket:
        raise StoreError(f"gs://{place} names no bucket; expected gs://bucket/key.")
    return GcsStore(bucket), key


class GcsStore(MarkedUploads):
    """The objects of a bucket.

    Args:
        bucket: its name.
        part_bytes: how large parts of uploads are.
    """

    def __init__(self, bucket: str, part_bytes: int = _PART_BYTES) -> None:
        from google.cloud.storage import Client  # noqa: PLC0415 - takes half a second

        self.part_bytes = part_bytes
        with _told("opens", f"gs://{bucket}"):
            self._bucket: Any = Client(project=None).bucket(bucket)  # objects belong to no project

    def stat(self, key: str) -> Stat | None:
        """Return what is known of an object, None when there is none."""
        with _told("storage.objects.get", self.url(key)):
            found = self._bucket.get_blob(key)
        return None if found is None else _stat(found)

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return the bytes from ``start`` to ``stop`` as they are kept, of that version.

        Raises ChangedError when it is not there.
        """
        from google.api_core.exceptions import NotFound, PreconditionFailed  # noqa: PLC0415

        with _told("storage.objects.get", self.url(key)):
            try:
                data: bytes = self._bucket.blob(key).download_as_bytes(
                    start=start, end=stop - 1, raw_download=True, if_generation_match=int(version)
                )
            except NotFound:
                raise ChangedError(f"{self.url(key)} is gone.") from None
            except PreconditionFailed:
                raise ChangedError(f"{self.url(key)} has been replaced.") from None
        return data

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the objects whose names begin with ``prefix``, sorted; no markers of folders."""
        with _told("storage.objects.list", self.url(prefix)):
            for found in self._bucket.list_blobs(prefix=prefix):
                if found.size or not found.name.endswith("/"):
                    yield _stat(found)

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str:
        """Write a whole object and return its version; raises ConflictError when another one is there than expected."""
        from google.api_core.exceptions import PreconditionFailed  # noqa: PLC0415

        blob = self._bucket.blob(key)
        condition = None if replaces is None else int(replaces or 0)
        with _told("storage.objects.create", self.url(key)):
            try:
                blob.upload_from_string(data, content_type(key), if_generation_match=condition)
            except PreconditionFailed:
                # The answer to a first attempt may have been lost on the way: then what is there is this very object.
                there = self.stat(key)
                if there is None or not holds(self, there, data):
                    raise ConflictError(f"{self.url(key)} has been written by somebody else in the meantime.") from None
                return there.version
        return str(blob.generation)

    def delete(self, key: str) -> None:
        """Remove an object; there need not be one."""
        from google.api_core.exceptions import NotFound  # noqa: PLC0415

        with _told("storage.objects.delete", self.url(key)):
            try:
                self._bucket.delete_blob(key)
            except NotFound:
                return

    def add(self, token: dict[str, Any], number: int, data: bytes) -> str:
        """Write a part; its tag is what its name ends in. Raises ConflictError without the upload."""
        self._check(token)
        tag = f"-{number:05}-{os.urandom(4).hex()}"
        self.put(marker_of(token) + tag, data)
        return tag

    def _make(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        """Compose the object; parts are composed by 32 into larger ones until 32 are left. Again changes nothing."""
        from google.api_core.exceptions import NotFound, PreconditionFailed  # noqa: PLC0415

        key, marker = token["key"], marker_of(token)
        names = [marker + tag for tag in tags]
        with _told("storage.objects.create", self.url(key)), ThreadPoolExecutor(_AT_ONCE) as threads:
            try:
                level = 0
                while len(names) > _COMPOSED:
                    level += 1
                    groups = [names[at : at + _COMPOSED] for at in range(0, len(names), _COMPOSED)]
                    names = [f"{marker}-{level}-{number:05}" for number in range(len(groups))]
                    list(threads.map(self._compose, names, groups))
                self._compose(key, names, if_generation_match=0)
            except NotFound:
                raise ConflictError(f"Of the upload of {self.url(key)} a part is missing.") from None
            except PreconditionFailed:
                raise ConflictError(f"{self.url(key)} exists already; it is left as it is.") from None

    def _compose(self, key: str, names: Sequence[str], **condition: int) -> None:
        blob = self._bucket.blob(key)
        blob.content_type = content_type(key)
        blob.compose([self._bucket.blob(name) for name in names], **condition)

    def abandon(self, token: dict[str, Any]) -> None:
        """Delete the parts of every upload of the key."""
        keys = [found.key for found in self.list(folder_of(token["key"]))]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(self.delete, keys))

    def url(self, key: str) -> str:
        """Return the URL by which ``open_store`` finds an object."""
        return f"gs://{self._bucket.name}/{key}"


def _stat(found: Any) -> Stat:
    return Stat(found.name, found.size, str(found.generation), found.content_type or "")


@contextmanager
def _told(action: str, name: str) -> Iterator[None]:
    """Say in one sentence what the store refuses; conditions that do not hold are the caller's."""
    from google.api_core.exceptions import (  # noqa: PLC0415
        Forbidden,
        GoogleAPIError,
        NotFound,
        PreconditionFailed,
        Unauthorized,
    )
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        yield
    except PreconditionFailed:
        raise
    except (Forbidden, Unauthorized) as problem:
        raise StoreError(f"Cloud Storage denies {action} on {name}; give the account a role that has it.") from problem
    except NotFound as problem:
        raise StoreError(f"Cloud Storage has no bucket for {name}; look at its name.") from problem
    except GoogleAuthError as problem:
        raise StoreError(
            f"There is no account to ask for {name} with ({str(problem).partition('. ')[0]}); sign in with "
            "`gcloud auth application-default login`."
        ) from problem
    except GoogleAPIError as problem:
        raise StoreError(f"Cloud Storage does not do {action} on {name}: {problem}") from problem
    except (RequestException, OSError) as problem:
        raise StoreError(f"Cloud Storage cannot be reached for {name}: {problem}") from problem
