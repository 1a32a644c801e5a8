"""Google's tokens: an ID token for Cloud Run and other services behind IAM, an access token for Google's own APIs.

They come from the metadata server or from a service account's file, as google-auth finds them.
"""

from __future__ import annotations

import calendar

from coldpress_runtime.fallback.credentials.tokens import Tokens

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Google"]


class Google(Tokens):
    """Fetches tokens by google-auth.

    Args:
        audience: whom an ID token is for, usually the service's URL.
        scope: what an access token allows; "" for an ID token.
    """

    def __init__(self, *, audience: str = "", scope: str = "") -> None:
        super().__init__("Google", self._ask)
        self._audience = audience
        self._scope = scope
        self._credentials: Any = None

    def _ask(self) -> tuple[str, float]:
        request = _transport()
        if self._credentials is None:
            if self._scope:
                from google.auth import default  # noqa: PLC0415 - loaded when it is used

                self._credentials, _ = default(scopes=[self._scope], request=request)
            else:
                from google.oauth2 import id_token  # noqa: PLC0415 - loaded when it is used

                fetch: Any = id_token.fetch_id_token_credentials
                self._credentials = fetch(self._audience, request=request)
        self._credentials.refresh(request)
        return self._credentials.token, calendar.timegm(self._credentials.expiry.utctimetuple())


def _transport() -> Any:
    """google-auth's way to ask: requests where it is installed, else plain HTTP, which metadata servers speak."""
    from importlib import import_module  # noqa: PLC0415 - loaded when it is used

    try:
        transport = import_module("google.auth.transport.requests")
    except ImportError:
        transport = import_module("google.auth.transport._http_client")
    return transport.Request()
