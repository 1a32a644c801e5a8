"""Proof of who asks the endpoint. Libraries are loaded when a question is first signed, and never before."""

from __future__ import annotations

from coldpress_runtime.errors import ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from coldpress_runtime.fallback.messages import Message, Origin, Reply
    from coldpress_runtime.fallback.settings import Endpoint

    class Credentials(Protocol):
        """What signs messages."""

        def headers(self, origin: Origin, message: Message, ends: float) -> dict[str, str]:
            """The headers that prove who asks; raises DoorError when they cannot be had until ``ends``."""

        def renew(self, reply: Reply) -> bool:
            """Told of a 401 or a 403, whether new headers may fare better."""


__all__ = ["AUDIENCE_VARIABLE", "Nobody", "make_credentials"]

#: Whom tokens are for, when the manifest leaves it empty: some are known when the endpoint is there, and not before.
AUDIENCE_VARIABLE = "COLDPRESS_FALLBACK_AUDIENCE"

_CLOUD = "https://www.googleapis.com/auth/cloud-platform"
_AZURE_ML = "https://ml.azure.com"


class Nobody:
    """Proves nothing, for endpoints that anybody may ask."""

    def headers(self, _origin: Origin, _message: Message, _ends: float) -> dict[str, str]:
        """No headers."""
        return {}

    def renew(self, _reply: Reply) -> bool:
        """Nothing to renew."""
        return False


def make_credentials(endpoint: Endpoint, environ: Mapping[str, str], audience: str) -> Credentials:
    """The credentials that a manifest asks for; ``audience`` is used where neither it nor the environment names one.

    Raises ManifestError when the environment lacks a secret; everything else shows when the first question is signed.
    """
    kind = endpoint.kind
    named = endpoint.audience or environ.get(AUDIENCE_VARIABLE, "")
    audience = named or audience
    if kind in {"sagemaker", "sagemaker-async"} or endpoint.auth == "aws":
        from coldpress_runtime.fallback.credentials.sigv4 import Sigv4  # noqa: PLC0415 - one kind is used
        from coldpress_runtime.fallback.endpoints import region_of  # noqa: PLC0415 - likewise

        return Sigv4(region_of(endpoint, environ))
    if kind == "vertex" or endpoint.auth == "google":
        from coldpress_runtime.fallback.credentials.google import Google  # noqa: PLC0415 - likewise

        return Google(scope=_CLOUD) if kind == "vertex" else Google(audience=audience)
    if endpoint.auth == "azure":
        from coldpress_runtime.fallback.credentials.azure import Azure  # noqa: PLC0415 - likewise

        return Azure(_AZURE_ML if kind == "azure-ml" and not named else audience)
    if endpoint.auth == "bearer":
        from coldpress_runtime.fallback.credentials.bearer import Bearer  # noqa: PLC0415 - likewise

        return Bearer(environ)
    if endpoint.auth != "none":
        raise ManifestError(f"fallback.endpoint.auth: {endpoint.auth!r} is no way to prove who asks.")
    return Nobody()
