"""Azure's tokens: of a managed identity, a service principal or a workload identity, as azure-identity finds them."""

from __future__ import annotations

from coldpress_runtime.fallback.credentials.tokens import Tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Azure"]

_DEFAULT = "/.default"


class Azure(Tokens):
    """Fetches access tokens by azure-identity.

    Args:
        audience: the application that the endpoint is, such as ``api://...`` or ``https://ml.azure.com``.
    """

    def __init__(self, audience: str) -> None:
        super().__init__("Azure", self._ask)
        self._scope = audience if audience.endswith(_DEFAULT) else audience.rstrip("/") + _DEFAULT
        self._credential: Any = None

    def _ask(self) -> tuple[str, float]:
        if self._credential is None:
            from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - loaded when it is used

            self._credential = DefaultAzureCredential()
        token = self._credential.get_token(self._scope)
        return token.token, float(token.expires_on)
