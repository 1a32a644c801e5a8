"""A JSON Web Key Set (RFC 7517) as Function Compute takes it: one public RSA key."""

import json

from coldpress.errors import TemplateError

__all__ = ["public_key"]

_FIELDS = ("alg", "e", "kty", "n", "use")


def public_key(text: str) -> dict[str, str]:
    """Return the fields of the one key in ``text`` that are deployed.

    Raises:
        TemplateError: it holds none, several, one of another kind, or a private one.
    """
    try:
        (key,) = json.loads(text)["keys"]
        sound = key["kty"] == "RSA" and all(type(key[name]) is str for name in _FIELDS)
    except (ValueError, KeyError, TypeError, RecursionError):
        sound = False
    if not sound:
        raise TemplateError(
            "auth is 'jwt' and jwks is no key set that Function Compute takes: expected one RSA key with "
            f"{', '.join(_FIELDS)}, in a JSON Web Key Set"
        )
    if "d" in key:
        raise TemplateError("jwks holds a private key (d): it would be deployed; keep the public part alone")
    return {name: key[name] for name in (*_FIELDS, "kid") if name in key}
