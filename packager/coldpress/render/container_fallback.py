"""What ``templates/container`` adds where some requests go out to an endpoint."""

from collections.abc import Callable
from urllib.parse import urlsplit

from coldpress.render.fallback import Asked

__all__ = ["fallback_pieces"]

_KSERVE = "        env: [{name: PROTOCOL, value: v2}] # what it speaks: KServe reads it here"
_NOWHERE = "  egress: [] # nowhere; hooks that call somebody need a rule here"


def fallback_pieces(endpoint: Asked | None, piece: Callable[..., str]) -> dict[str, dict[str, str]]:
    """Return what the endpoint adds, by file and hole.

    Args:
        endpoint: which one; None adds nothing.
        piece: fills one file of ``templates/container``.
    """
    url, egress, token, kserve = "", _NOWHERE, "", _KSERVE
    if endpoint is not None and endpoint.kind == "http":
        parts = urlsplit(endpoint.url)
        port = str(parts.port or (443 if parts.scheme == "https" else 80))
        egress = piece("fallback/egress-http.yaml", endpoint_port=port)
    elif endpoint is not None:
        egress = (
            piece("fallback/egress-kserve.yaml")
            if endpoint.kind == "kserve"
            else piece("fallback/egress-kubernetes.yaml", endpoint=endpoint.name)
        )
        # In another namespace than `default`, KServe's name has another end.
        host = f"{endpoint.name}-predictor.default.svc.cluster.local" if endpoint.kind == "kserve" else endpoint.name
        url = f"    COLDPRESS_FALLBACK_URL=http://{host} \\"
    if endpoint is not None and endpoint.token:
        token = piece("fallback/token.yaml")
        secret = "\n".join(line.removeprefix("  ") for line in token.splitlines())
        kserve = f"{secret}\n          - {{name: PROTOCOL, value: v2}} # what it speaks: KServe reads it here"
    return {
        "Dockerfile": {"endpoint_url": url},
        "kubernetes/deployment.yaml": {"egress": egress, "token": token},
        "kubernetes/knative.yaml": {"token": token},
        "kubernetes/kserve.yaml": {"environment_of_kserve": kserve},
    }
