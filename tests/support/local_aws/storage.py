"""What moto's S3 does otherwise than AWS's, mended in place. Runs in moto's environment."""

import threading
from collections.abc import Callable
from typing import Any

from moto.s3.exceptions import NoSuchUpload
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

__all__ = ["install"]

_one_at_a_time = threading.RLock()


def install() -> None:
    """Make writes with conditions atomic, and uploads that are no more a refusal."""
    for name in ("_key_response_put", "_key_response_post", "_key_response_delete"):
        setattr(S3Response, name, _alone(getattr(S3Response, name)))
    for name in ("upload_part", "complete_multipart_upload"):
        setattr(S3Backend, name, _of_an_upload(getattr(S3Backend, name)))


def _alone(respond: Callable[..., Any]) -> Callable[..., Any]:
    """Between looking whether a condition holds and writing, moto lets other requests write."""

    def respond_alone(*arguments: Any, **named: Any) -> Any:
        with _one_at_a_time:
            return respond(*arguments, **named)

    return respond_alone


def _of_an_upload(act: Callable[..., Any]) -> Callable[..., Any]:
    """For uploads that were finished or given up, moto answers 500."""

    def act_or_refuse(backend: S3Backend, bucket_name: str, multipart_id: str, *arguments: Any) -> Any:
        if multipart_id not in backend.get_bucket(bucket_name).multiparts:
            raise NoSuchUpload(upload_id=multipart_id)
        return act(backend, bucket_name, multipart_id, *arguments)

    return act_or_refuse
