"""Stores to test: a folder, and buckets of servers that the tests start."""

import uuid

import pytest

from coldpress_runtime.batch.stores.blob import BlobStore
from coldpress_runtime.batch.stores.gcs import GcsStore
from coldpress_runtime.batch.stores.s3 import S3Store
from tests.support.local_aws import LocalAws
from tests.support.local_azure.azurite import Azurite, why_not
from tests.support.local_gcp import LocalStorage, python


@pytest.fixture(scope="session")
def local_aws():
    with LocalAws(S3_UPLOAD_PART_MIN_SIZE="5000") as running:
        yield running


@pytest.fixture
def s3_store(local_aws, monkeypatch):
    """A store on a bucket of its own."""
    for name, value in local_aws.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    store = S3Store(bucket)
    store._client.create_bucket(Bucket=bucket)
    yield store
    store._client.close()


@pytest.fixture(scope="session")
def local_gcp():
    if not python().exists():
        pytest.skip("`make tools` has not made .tools/gcp")
    with LocalStorage() as running:
        yield running


@pytest.fixture
def gcs_store(local_gcp, monkeypatch):
    """A store on a bucket of its own."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{local_gcp.host}")
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    local_gcp.make_bucket(bucket)
    store = GcsStore(bucket)
    yield store
    store._bucket.client.close()


@pytest.fixture(scope="session")
def azurite():
    if why := why_not():
        pytest.skip(f"no Azurite: {why}")
    with Azurite() as running:
        yield running


@pytest.fixture
def blob_store(azurite, monkeypatch):
    """A store on a container of its own."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    container = f"container-{uuid.uuid4().hex[:12]}"
    azurite.make_container(container)
    store = BlobStore(azurite.url, container)
    yield store
    store._container.close()
