"""What ``templates/azure`` adds where some requests go out to an endpoint."""

from collections.abc import Callable

from coldpress.render.endpoint.values import online_name
from coldpress.render.fallback import Asked

__all__ = ["fallback_pieces"]

_HOLES = ("fallback", "fallback_parameters", "fallback_settings", "token_flag")


def fallback_pieces(
    endpoint: Asked | None, model: str, piece: Callable[..., str], *, identity_named: bool
) -> dict[str, str]:
    """Return what the endpoint adds to ``main.bicep`` and ``deploy.sh``, by hole.

    Args:
        endpoint: which one; None adds nothing.
        model: the model's name.
        piece: fills one file of ``templates/azure``.
        identity_named: whether the settings say already which identity asks for tokens.
    """
    found = dict.fromkeys(_HOLES, "")
    if endpoint is None:
        return found
    if endpoint.token:
        flag = ' \\\n  --parameters fallbackToken="${COLDPRESS_FALLBACK_TOKEN:?what the endpoint knows the app by}"'
        return found | {
            "fallback_parameters": piece("fallback/token.bicep"),
            "fallback_settings": piece("fallback/token_settings.bicep"),
            "token_flag": flag,
        }
    client = piece("fallback/client.bicep") if not identity_named else ""
    if endpoint.rendered:
        names = {"endpoint_short": online_name(model)} if endpoint.kind == "azure-ml" else {"endpoint": endpoint.name}
        settings = piece(f"fallback/{endpoint.kind}_settings.bicep")
        found["fallback"] = piece(f"fallback/{endpoint.kind}.bicep", **names)
        found["fallback_settings"] = "\n".join(filter(None, (settings, client)))
    elif endpoint.auth == "azure":
        found["fallback_settings"] = client
    return found
