"""What moto's asynchronous endpoints do otherwise than SageMaker's, mended in place. Runs in moto's environment.

SageMaker leaves the answer of each invocation under a UUID of its own, below the output path of the endpoint; moto
makes a bucket for each and always calls it the same. Here the output path of an endpoint named ``bucket`` is
``s3://bucket/jobs/``. While no result is queued, nothing is left there: the endpoint is asleep.
"""

from typing import Any
from uuid import uuid4

from moto.s3.models import s3_backends
from moto.sagemakerruntime.models import SageMakerRuntimeBackend
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

__all__ = ["install"]

_INLINE_BYTES = 128_000


def install() -> None:
    """Name what asynchronous endpoints leave as SageMaker does, and refuse what it refuses."""
    SageMakerRuntimeBackend.invoke_endpoint_async = _invoke
    respond = SageMakerRuntimeResponse.invoke_endpoint_async

    def respond_strictly(self: SageMakerRuntimeResponse) -> Any:
        location = self.headers.get("X-Amzn-SageMaker-InputLocation")
        body = self.body.encode() if isinstance(self.body, str) else self.body or b""
        if bool(body) == bool(location) or len(body) > _INLINE_BYTES:
            return 400, {}, '{"Message": "Exactly one of Body, at most 128000 bytes, and InputLocation."}'
        return respond(self)

    SageMakerRuntimeResponse.invoke_endpoint_async = respond_strictly


def _invoke(backend: SageMakerRuntimeBackend, endpoint_name: str, input_location: str | None) -> tuple[str, str]:
    store = s3_backends[backend.account_id][backend.partition]
    if input_location:
        bucket, _, key = input_location.removeprefix("s3://").partition("/")
        store.get_object(bucket, key)
    name = uuid4()
    places = (f"jobs/{name}.out", f"jobs/failures/{name}-error.out")
    if backend.async_results_queue:
        is_failure, data = backend.async_results_queue.pop(0)
        store.put_object(endpoint_name, places[is_failure], value=data.encode())
    return tuple(f"s3://{endpoint_name}/{place}" for place in places)
