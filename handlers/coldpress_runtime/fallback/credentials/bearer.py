"""A secret of the environment, sent as it is."""

from __future__ import annotations

from coldpress_runtime.errors import ManifestError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coldpress_runtime.fallback.messages import Message, Origin, Reply

__all__ = ["VARIABLE", "Bearer"]

#: Where the secret comes from; it is never part of the manifest.
VARIABLE = "COLDPRESS_FALLBACK_TOKEN"


class Bearer:
    """Sends ``Authorization: Bearer``; raises ManifestError when there is no secret that a header could hold."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        secret = environ.get(VARIABLE, "").strip()
        if not (secret and secret.isascii() and secret.isprintable()):
            found = "holds characters that no header can" if secret else "is not set"
            raise ManifestError(f"{VARIABLE} {found}; expected the endpoint's token, as fallback.endpoint.auth says.")
        self._headers = {"Authorization": f"Bearer {secret}"}

    def headers(self, _origin: Origin, _message: Message, _ends: float) -> dict[str, str]:
        """The secret."""
        return self._headers

    def renew(self, _reply: Reply) -> bool:
        """There is no other secret."""
        return False
