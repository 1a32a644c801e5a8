"""A bucket of a local S3 that takes small parts."""

import contextlib
import urllib.request
from collections.abc import Iterator

from tests.support.batch_kill.jobs import PART_BYTES
from tests.support.local_aws import LocalAws

__all__ = ["bucket"]


@contextlib.contextmanager
def bucket() -> Iterator[tuple[str, dict[str, str]]]:
    """Start a local S3; give the URL of an empty bucket, and the variables that lead to it."""
    with LocalAws(S3_UPLOAD_PART_MIN_SIZE=str(PART_BYTES)) as aws:
        request = urllib.request.Request(f"{aws.endpoint}/kills", method="PUT")
        urllib.request.urlopen(request).close()
        variables = {name: value for name, value in aws.environment().items() if name.startswith("AWS_")}
        yield "s3://kills/", variables
