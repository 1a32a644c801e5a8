"""Proof that a function that asks an endpoint starts from its zip, and says of the model what the model says."""

import json
from urllib.parse import quote

from coldpress.bundle.runnable import Bundle
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress.errors import EmulateError, VerifyError
from coldpress.signature import Signature

__all__ = ["NOWHERE", "verify_door"]

NOWHERE = {
    "AWS_REGION": "us-east-1",
    "COLDPRESS_FALLBACK_ENDPOINT": "endpoint",
    "COLDPRESS_FALLBACK_OUTPUT": "s3://coldpress-verification/jobs/",
    "COLDPRESS_FALLBACK_TOKEN": "verification",
    "COLDPRESS_FALLBACK_URL": "https://endpoint.invalid",
}
"""What a deployment would tell the function of its endpoint: one that is nowhere, and is not asked."""
_OK = 200
_LEAST_S = 120  # for an answer: this machine may be slower than the provider's


def verify_door(bundle: Bundle, signature: Signature) -> float:
    """Start the zip with the settings of an endpoint, and look at what it says of the model.

    Args:
        bundle: whose packages can be imported.
        signature: the model's.

    Returns:
        Milliseconds from the start of the process to its first request for work.

    Raises:
        VerifyError: it does not start, is not ready, or names other inputs and outputs.
    """
    manifest = bundle.plan.manifest
    path = f"/v2/models/{quote(manifest['name'], safe='')}"
    function = manifest["function"]
    try:
        with (
            bundle.runnable(door=True) as build,
            start(
                build,
                python=bundle.python,
                memory_mb=function["memory_mb"],
                timeout_s=max(_LEAST_S, function["timeout_s"]),
                environment=NOWHERE,
            ) as running,
        ):
            reply = running.call(HttpRequest("GET", path)).reply
            if reply.status != _OK:
                raise VerifyError(f"The bundle answers {path} with {reply.status}: {reply.body[:300]!r}")
            metadata = json.loads(reply.body)
            init_ms = running.init_ms
    except EmulateError as error:
        raise VerifyError(f"The bundle does not start with an endpoint beside it: {error}") from error
    for side in ("inputs", "outputs"):
        want = [port.name for port in getattr(signature, side)]
        if (found := [item["name"] for item in metadata[side]]) != want:
            raise VerifyError(f"The bundle's {side} are {', '.join(found)}; the original's are {', '.join(want)}.")
    return init_ms
