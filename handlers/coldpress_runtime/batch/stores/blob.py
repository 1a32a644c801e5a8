"""A container of Azure Blob Storage. Writes have conditions: a version is an ETag.

Microsoft's client tries again where the store is busy or out of order. Who asks is found as their SDKs find it: the
function's identity, or on a laptop whoever signed in by ``az login``; ``AZURE_STORAGE_CONNECTION_STRING``, where it is
set, opens the account that it names.

An upload in parts is made of blocks, which belong to the blob's name and to no upload. What stands for the upload is
an empty blob beside, below ``KEY.parts/``. Blocks that no blob is made of are forgotten by the store after a week.

What an identity needs: the role Storage Blob Data Reader where the input lies, Storage Blob Data Contributor where the
output goes.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.batch.stores.marked import MarkedUploads, content_type, folder_of, holds
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["BlobStore", "open_place"]

_PART_BYTES = 8 << 20
_ATTEMPTS = 8


def open_place(place: str) -> tuple[BlobStore, str]:
    """Return the store of ``account/container/key``, and the key."""
    account, _, rest = place.partition("/")
    container, _, key = rest.partition("/")
    if not (account and container):
        raise StoreError(f"az://{place} names no container; expected az://account/container/key.")
    return BlobStore(f"https://{account}.blob.core.windows.net", container), key


class BlobStore(MarkedUploads):
    """The blobs of a container.

    Args:
        service: the address of the account's blobs.
        container: its name.
        part_bytes: how large parts of uploads are.
    """

    def __init__(self, service: str, container: str, part_bytes: int = _PART_BYTES) -> None:
        self.part_bytes = part_bytes
        self._container: Any = _client(service, container)

    def stat(self, key: str) -> Stat | None:
        """Return what is known of a blob, None when there is none."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 - takes half a second, here and below

        with self._told("read", key):
            try:
                return _stat(self._container.get_blob_client(key).get_blob_properties())
            except ResourceNotFoundError as problem:
                if _code(problem) == "ContainerNotFound":
                    raise
                return None

    def read(self, key: str, start: int, stop: int, version: str) -> bytes:
        """Return the bytes from ``start`` to ``stop`` as they are kept, of that version.

        Raises ChangedError when it is not there.
        """
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError  # noqa: PLC0415

        blob = self._container.get_blob_client(key)
        with self._told("read", key):
            try:
                data: bytes = blob.download_blob(start, stop - start, decompress=False, **_is(version)).readall()
            except ResourceNotFoundError:
                raise ChangedError(f"{self.url(key)} is gone.") from None
            except ResourceModifiedError:
                raise ChangedError(f"{self.url(key)} has been replaced.") from None
        return data

    def list(self, prefix: str) -> Iterator[Stat]:
        """Yield the blobs whose names begin with ``prefix``, sorted; no markers of folders."""
        with self._told("list", prefix):
            for found in self._container.list_blobs(prefix, include=["metadata"]):
                if not (found.metadata or {}).get("hdi_isfolder") and (found.size or not found.name.endswith("/")):
                    yield _stat(found)

    def put(self, key: str, data: bytes, *, replaces: str | None = None) -> str:
        """Write a whole blob and return its version; raises ConflictError when another one is there than expected."""
        from azure.core.exceptions import (  # noqa: PLC0415
            ResourceExistsError,
            ResourceModifiedError,
            ResourceNotFoundError,
        )

        condition = {"overwrite": replaces != "", **(_is(replaces) if replaces else {})}
        blob = self._container.get_blob_client(key)
        with self._told("write", key):
            try:
                return _version(blob.upload_blob(data, content_settings=_settings(key), **condition)["etag"])
            except (ResourceExistsError, ResourceModifiedError):
                pass
            except ResourceNotFoundError:
                if not replaces:  # then it is the container that is missing
                    raise
        # The answer to a first attempt may have been lost on the way: then what is there is this very blob.
        there = self.stat(key)
        if there is None or not holds(self, there, data):
            raise ConflictError(f"{self.url(key)} has been written by somebody else in the meantime.")
        return there.version

    def delete(self, key: str) -> None:
        """Remove a blob; there need not be one."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415

        with self._told("delete", key):
            try:
                self._container.get_blob_client(key).delete_blob(delete_snapshots="include")
            except ResourceNotFoundError:
                return

    def add(self, token: dict[str, Any], number: int, data: bytes) -> str:
        """Write a block that nobody else writes; its tag is its id. Raises ConflictError without the upload."""
        self._check(token)
        tag = f"{token['upload']}-{number:05}-{os.urandom(4).hex()}"  # the ids of a blob's blocks are alike in length
        with self._told("write", token["key"]):
            self._container.get_blob_client(token["key"]).stage_block(tag, data)
        return tag

    def _make(self, token: dict[str, Any], tags: Sequence[str]) -> None:
        from azure.core import MatchConditions  # noqa: PLC0415
        from azure.core.exceptions import (  # noqa: PLC0415
            HttpResponseError,
            ResourceExistsError,
            ResourceModifiedError,
        )
        from azure.storage.blob import BlobBlock  # noqa: PLC0415

        key = token["key"]
        with self._told("write", key):
            try:
                self._container.get_blob_client(key).commit_block_list(
                    [BlobBlock(tag) for tag in tags],
                    content_settings=_settings(key),
                    match_condition=MatchConditions.IfMissing,
                )
            except (ResourceExistsError, ResourceModifiedError):
                raise ConflictError(f"{self.url(key)} exists already; it is left as it is.") from None
            except HttpResponseError as problem:
                if _code(problem) == "InvalidBlockList":
                    raise ConflictError(f"Of the upload of {self.url(key)} a part is missing.") from None
                raise

    def abandon(self, token: dict[str, Any]) -> None:
        """Forget every upload of the key."""
        for found in [*self.list(folder_of(token["key"]))]:
            self.delete(found.key)

    def url(self, key: str) -> str:
        """Return the URL by which ``open_store`` finds a blob."""
        return f"az://{self._container.account_name}/{self._container.container_name}/{key}"

    @contextmanager
    def _told(self, action: str, key: str) -> Iterator[None]:
        """Say in one sentence what the store refuses."""
        from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError  # noqa: PLC0415

        name = self.url(key)
        try:
            yield
        except HttpResponseError as problem:
            code = _code(problem)
            if problem.status_code in {401, 403}:
                told = f"Azure does not let {action} {name} ({code}); give the identity a role that may."
            elif isinstance(problem, ClientAuthenticationError):
                told = f"There is no identity to ask for {name} with; sign in with `az login`."
            elif code == "ContainerNotFound":
                told = f"There is no container {self._container.container_name} for {name}; look at its name."
            else:
                told = f"Azure does not {action} {name}: {code}."
            raise StoreError(told) from problem
        except AzureError as problem:
            raise StoreError(f"Azure cannot be reached to {action} {name}: {problem}") from problem


def _client(service: str, container: str) -> Any:
    from azure.storage.blob import ContainerClient, ExponentialRetry  # noqa: PLC0415

    patient = ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=_ATTEMPTS)
    known = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    client = ContainerClient(service, container, retry_policy=patient)
    if known:
        opened = ContainerClient.from_connection_string(known, container, retry_policy=patient)
        if opened.account_name == client.account_name:
            return opened
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415

    return ContainerClient(service, container, DefaultAzureCredential(), retry_policy=patient)


def _code(problem: Any) -> str:
    """What the store calls an error."""
    code = getattr(problem, "error_code", None) or problem.reason
    return str(getattr(code, "value", code))


def _is(version: str) -> dict[str, Any]:
    from azure.core import MatchConditions  # noqa: PLC0415

    return {"etag": f'"{version}"', "match_condition": MatchConditions.IfNotModified}


def _version(etag: str) -> str:
    return etag.strip('"')


def _settings(key: str) -> Any:
    from azure.storage.blob import ContentSettings  # noqa: PLC0415

    return ContentSettings(content_type=content_type(key))


def _stat(found: Any) -> Stat:
    return Stat(found.name, found.size, _version(found.etag), found.content_settings.content_type or "")
