"""Stores to test: a folder, and buckets of servers that the tests start."""

import uuid

import pytest

from coldpress_runtime.batch.stores.s3 import S3Store
from tests.support.local_aws import LocalAws


@pytest.fixture(scope="session")
def local_aws():
    with LocalAws() as running:
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
