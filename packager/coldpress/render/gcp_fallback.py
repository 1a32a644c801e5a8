"""What ``templates/gcp`` adds where some requests go out to an endpoint."""

from collections.abc import Callable

from coldpress.render.fallback import Asked

__all__ = ["fallback_pieces"]


def fallback_pieces(
    endpoint: Asked | None, project: str, piece: Callable[..., str]
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Return what the endpoint adds to ``deploy.sh``, to ``main.tf`` and to ``service.yaml``, by hole.

    Args:
        endpoint: which one; None adds nothing.
        project: the project's id, or what stands for it in ``service.yaml``.
        piece: fills one file of ``templates/gcp``.
    """
    shell = {"environment_file": "environment.yaml", "fallback": "", "secret_flag": ""}
    terraform = {"fallback": "", "fallback_environment_of_terraform": "", "fallback_token": ""}
    container = {"fallback_environment_of_container": ""}
    if endpoint is not None and endpoint.token:
        secret = f" --set-secrets=COLDPRESS_FALLBACK_TOKEN={piece('fallback/secret.txt')}:latest"
        shell |= {"fallback": piece("fallback/token.sh"), "secret_flag": secret}
        terraform |= {"fallback": piece("fallback/token.tf"), "fallback_token": piece("fallback/token_env.tf")}
        container = {"fallback_environment_of_container": piece("fallback/token.yaml")}
    if endpoint is None or not endpoint.rendered:
        return shell, terraform, container
    names = {"endpoint": endpoint.name, "endpoint_region": endpoint.region}
    shell |= {
        "environment_file": "environment.filled.yaml",
        "fallback": piece(f"fallback/{endpoint.kind}.sh", **names),
    }
    if endpoint.kind == "cloud-run-gpu":
        lookup, uri = piece("fallback/cloud-run-gpu.tf", **names), "data.google_cloud_run_v2_service.endpoint.uri"
        why, url = "NUMBER: the project's", f"https://{endpoint.name}-NUMBER.{endpoint.region}.run.app"
    else:
        lookup, uri = piece("fallback/url.tf"), "var.fallback_url"
        why = "HOST: the endpoint's dedicatedEndpointDns"
        url = f"https://HOST/v1/projects/{project}/locations/{endpoint.region}/endpoints/{endpoint.name}"
    terraform |= {"fallback": lookup, "fallback_environment_of_terraform": f"    COLDPRESS_FALLBACK_URL = {uri}"}
    lines = (f"            # {why}", f'            - {{name: COLDPRESS_FALLBACK_URL, value: "{url}"}}')
    return shell, terraform, {"fallback_environment_of_container": "\n".join(lines)}
