"""What ``templates/gcp`` adds where some requests go out to an endpoint."""

from collections.abc import Callable

from coldpress.render.fallback import Asked

__all__ = ["fallback_pieces"]


def fallback_pieces(endpoint: Asked | None, project: str, piece: Callable[..., str]) -> dict[str, dict[str, str]]:
    """Return what the endpoint adds to each file, by hole.

    Args:
        endpoint: which one; None adds nothing.
        project: the project's id, or what stands for it in ``service.yaml``.
        piece: fills one file of ``templates/gcp``.
    """
    shell = {"environment_file": "environment.yaml", "fallback": "", "secret_flag": ""}
    terraform = {"fallback": "", "fallback_environment_of_terraform": "", "fallback_token": ""}
    container, variables = "", ""
    if endpoint is not None and endpoint.token:
        secret = f" --set-secrets=COLDPRESS_FALLBACK_TOKEN={piece('fallback/secret.txt')}:latest"
        shell |= {"fallback": piece("fallback/token.sh"), "secret_flag": secret}
        terraform |= {"fallback": piece("fallback/token.tf"), "fallback_token": piece("fallback/token_env.tf")}
        container, variables = piece("fallback/token.yaml"), piece("fallback/token_variable.tf")
    if endpoint is not None and endpoint.rendered:
        names = {"endpoint": endpoint.name, "endpoint_region": endpoint.region}
        shell |= {
            "environment_file": "environment.filled.yaml",
            "fallback": piece(f"fallback/{endpoint.kind}.sh", **names),
        }
        if endpoint.kind == "cloud-run-gpu":
            terraform["fallback"] = piece("fallback/cloud-run-gpu.tf", **names)
            uri = "data.google_cloud_run_v2_service.endpoint.uri"
            why, url = "NUMBER: the project's", f"https://{endpoint.name}-NUMBER.{endpoint.region}.run.app"
        else:
            variables, uri = piece("fallback/url_variable.tf"), "var.fallback_url"
            why = "HOST: the endpoint's dedicatedEndpointDns"
            url = f"https://HOST/v1/projects/{project}/locations/{endpoint.region}/endpoints/{endpoint.name}"
        terraform["fallback_environment_of_terraform"] = f"    COLDPRESS_FALLBACK_URL = {uri}"
        container = f'            # {why}\n            - {{name: COLDPRESS_FALLBACK_URL, value: "{url}"}}'
    return {
        "deploy.sh": shell,
        "main.tf": terraform,
        "service.yaml": {"fallback_environment_of_container": container},
        "variables.tf": {"fallback_variables": variables},
    }
