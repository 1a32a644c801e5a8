"""``templates/azure`` filled in: the folder that ``deploy.sh``, ``az`` and ``azd`` deploy.

Names and enumerations are those of Microsoft's SDK models: azure-mgmt-web 11.0.1 (2026-07-13) and its neighbours in
requirements/azure.in, against which the tests hold the rendered Bicep.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import Config
from coldpress.errors import TemplateError
from coldpress.render.template import Template, slug
from coldpress.render.values import Uploads, between, one_of

__all__ = ["AUTHS", "LOCATIONS", "MEMORY_MB", "AzureValues", "azure_values", "render_azure"]

AUTHS = ("function", "entra", "anonymous")
# What an instance of the Flex Consumption plan may have.
MEMORY_MB = (512, 2048, 4096)
_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Azure's public regions, 2026-11, those for recovery alone included. Not each has the plan:
# `az functionapp list-flexconsumption-locations` lists those that do.
LOCATIONS = (
    *("australiacentral", "australiacentral2", "australiaeast", "australiasoutheast", "austriaeast", "belgiumcentral"),
    *("brazilsouth", "brazilsoutheast", "canadacentral", "canadaeast", "centralindia", "centralus", "chilecentral"),
    *("denmarkeast", "eastasia", "eastus", "eastus2", "francecentral", "francesouth", "germanynorth"),
    *("germanywestcentral", "indiasouthcentral", "indonesiacentral", "israelcentral", "israelnorthwest", "italynorth"),
    *("japaneast", "japanwest", "jioindiacentral", "jioindiawest", "koreacentral", "koreasouth", "malaysiasouth"),
    *("malaysiawest", "mexicocentral", "newzealandnorth", "northcentralus", "northeurope", "norwayeast", "norwaywest"),
    *("polandcentral", "qatarcentral", "southafricanorth", "southafricawest", "southcentralus", "southeastasia"),
    *("southindia", "spaincentral", "swedencentral", "switzerlandnorth", "switzerlandwest", "taiwannorth"),
    *("uaecentral", "uaenorth", "uksouth", "ukwest", "westcentralus", "westeurope", "westindia", "westus", "westus2"),
    "westus3",
)
# What main.bicep sets itself, and what the plan does not take.
_OURS = (
    *("AzureFunctionsJobHost__", "AzureWebJobs", "APPLICATIONINSIGHTS_", "COLDPRESS_AUTH_LEVEL", "COLDPRESS_UPLOADS"),
    *("ENABLE_ORYX_BUILD", "FUNCTIONS_", "SCM_DO_BUILD_DURING_DEPLOYMENT", "UPLOADS__", "WEBSITE_"),
)
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TAG_CHARACTERS = 256


@dataclass(frozen=True, kw_only=True)
class AzureValues(Uploads):
    """What one deployment on Azure Functions needs to know, checked when it is made.

    Attributes:
        name: the model's name, any text.
        version: the model's version, any text.
        location: the region; one of :data:`LOCATIONS`.
        python: the function's Python, such as ``"3.13"``.
        memory_mb: of an instance; one of :data:`MEMORY_MB`.
        timeout_s: 1 to 230, which is how long Azure's load balancer waits for an answer.
        auth: who may call: ``"function"`` (who knows a key of the function), ``"entra"`` (a Microsoft Entra token made
            out for ``entra_client_id``) or ``"anonymous"``.
        entra_client_id: the application registration that callers ask for; needed by ``auth="entra"`` alone.
        maximum_instances: copies of the app at most, 1 to 1,000.
        always_ready: copies that are kept started, which are billed while idle; for HTTP, and for uploads likewise.
        http_concurrency: requests at a time in one copy; ``None``: what the plan decides.
        uploads_container: the blob container whose uploads are scored; empty: none is watched.
        log_retention_days: 30 to 730.
        environment: settings for the function.

    Raises:
        TemplateError: a value that Azure would refuse.
    """

    name: str
    version: str = "1"
    location: str = "westeurope"
    python: str = "3.13"
    memory_mb: int = 2048
    timeout_s: int = 30
    auth: str = "function"
    entra_client_id: str = ""
    maximum_instances: int = 100
    always_ready: int = 0
    http_concurrency: int | None = None
    uploads_container: str = ""
    log_retention_days: int = 30
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        one_of("auth", self.auth, AUTHS)
        one_of("memory_mb", self.memory_mb, MEMORY_MB)
        one_of("python", self.python, _PYTHONS)
        between("timeout_s", self.timeout_s, 1, 230)
        between("maximum_instances", self.maximum_instances, 1, 1000)
        between("always_ready", self.always_ready, 0, self.maximum_instances)
        between("log_retention_days", self.log_retention_days, 30, 730)
        if self.http_concurrency is not None:
            between("http_concurrency", self.http_concurrency, 1, 1000)
        if self.location not in LOCATIONS:
            near = difflib.get_close_matches(re.sub(r"[^a-z0-9]", "", self.location.lower()), LOCATIONS, 1, 0.8)
            hint = (
                f"did you mean {near[0]}?" if near else "`az functionapp list-flexconsumption-locations` lists Azure's"
            )
            raise TemplateError(f"location is {self.location!r}, none of the regions that are known here: {hint}")
        if self.auth == "entra" and not _GUID.fullmatch(self.entra_client_id):
            raise TemplateError(
                f"auth is 'entra' and entra_client_id is {self.entra_client_id!r}; expected the application's GUID"
            )
        if self.auth != "entra" and self.entra_client_id:
            raise TemplateError(f"entra_client_id is set and auth is {self.auth!r}: set auth to 'entra'")
        if self.uploads_container and not re.fullmatch(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*", self.uploads_container):
            raise TemplateError(
                f"uploads_container is {self.uploads_container!r}; expected 3 to 63 lower-case letters, digits and "
                "single hyphens"
            )
        for prefix in (self.input_prefix, self.output_prefix):
            if not re.fullmatch(r"[A-Za-z0-9_.\-/]*", prefix):
                raise TemplateError(
                    f"{prefix!r} cannot begin names of uploads: use letters, digits and the signs _ . - /"
                )
        self.check_prefixes()
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith(_OURS):
                raise TemplateError(
                    f"{name!r} cannot name a setting of yours: use letters, digits and _, and none of Azure's own names"
                )


def azure_values(config: Config, name: str) -> AzureValues:
    """Gather what the templates need from the settings, which also checks it."""
    function, azure = config.function, config.targets.azure
    return AzureValues(
        name=name,
        version=config.model.version,
        location=azure.location,
        python=function.python,
        memory_mb=azure.memory_mb,
        timeout_s=function.timeout_s,
        auth=azure.auth,
        entra_client_id=azure.entra_client_id,
        maximum_instances=azure.maximum_instances,
        always_ready=azure.always_ready,
        http_concurrency=azure.http_concurrency,
        uploads_container=azure.uploads_container,
        log_retention_days=azure.log_retention_days,
        environment=function.environment,
    )


def render_azure(values: AzureValues) -> dict[str, str]:
    """Return the deployable folder's files as text by their path.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    template = Template(template_root() / "azure", _holes(values))

    def piece(name: str, *, wanted: bool = True) -> str:
        return template.fill(name).rstrip("\n") if wanted else ""

    uploads = bool(values.uploads_container)
    files = {
        "main.bicep": template.fill(
            "main.bicep",
            auth=piece("auth/entra.bicep", wanted=values.auth == "entra"),
            uploads=piece("optional/uploads.bicep", wanted=uploads),
            upload_settings=piece("optional/upload_settings.bicep", wanted=uploads),
            upload_outputs=piece("optional/upload_outputs.bicep", wanted=uploads),
        ),
        "main.parameters.json": template.fill("main.parameters.json"),
        "azure.yaml": template.fill("azure.yaml", azd_hooks=piece("optional/azd_hooks.yaml", wanted=uploads)),
        "deploy.sh": template.fill("deploy.sh", events=piece("optional/events.sh", wanted=uploads)),
        "README.md": template.fill(
            "README.md",
            call=piece(f"call/{values.auth}.sh"),
            uploads_note=piece("optional/uploads.md", wanted=uploads),
        ),
    }
    if uploads:
        files |= {name: template.fill(name) for name in ("events.bicep", "events.sh")}
    template.close()
    return files


def _holes(values: AzureValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    name = slug(values.name.lower(), 30)
    uploads = bool(values.uploads_container)
    holes = {
        "always_ready": _always_ready(values),
        "app_prefix": f"coldpress-{name}",
        "auth_level": "FUNCTION" if values.auth == "function" else "ANONYMOUS",
        "auth_reason": {"function": "a key", "entra": "a token", "anonymous": "nothing"}[values.auth],
        "azd_name": f"coldpress-{name}",
        "concurrency": _concurrency(values.http_concurrency),
        "environment": "\n".join(
            f"        {{ name: '{name}', value: {_text(value)} }}" for name, value in values.environment.items()
        ),
        "events_file": "| `events.bicep`, `events.sh` | who hears of uploads, once there is code |" if uploads else "",
        "group": f"coldpress-{name}",
        "location": values.location,
        "log_retention_days": str(values.log_retention_days),
        "maximum_instances": str(values.maximum_instances),
        "memory_mb": str(values.memory_mb),
        "model_tag": _text(values.name[:_TAG_CHARACTERS]),
        "name_in_path": quote_url(values.name, safe=""),
        "python": values.python,
        "slug": name,
        "timeout": f"00:{values.timeout_s // 60:02}:{values.timeout_s % 60:02}",
        "title": " ".join(values.name.replace("`", "'").split()),
        "upload_roles": "  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'" if uploads else "",
        "version_tag": _text(values.version[:_TAG_CHARACTERS]),
    }
    if values.auth == "entra":
        holes["entra_client_id"] = values.entra_client_id
        # There callers have a key of the host and no token: the Azure CLI, which looks at a deployment, and Event Grid.
        paths = ["/admin/host/status"] + ["/runtime/webhooks/blobs"] * uploads
        holes["open_paths"] = ", ".join(f"'{path}'" for path in paths)
    if uploads:
        holes |= {
            "input_prefix": values.input_prefix,
            "output_prefix": values.output_prefix,
            "uploads_container": values.uploads_container,
        }
    return holes


def _always_ready(values: AzureValues) -> str:
    if not values.always_ready:
        return ""
    groups = ["http"] + ["blob"] * bool(values.uploads_container)
    lines = [f"          {{ name: '{group}', instanceCount: {values.always_ready} }}" for group in groups]
    return "\n".join(["        alwaysReady: [ // kept started, and billed while idle", *lines, "        ]"])


def _concurrency(count: int | None) -> str:
    if count is None:
        return ""
    inner = ("triggers: {", "  http: {", f"    perInstanceConcurrency: {count}", "  }", "}")
    return "\n".join("        " + line for line in inner)


def _text(text: str) -> str:
    r"""Return ``text`` as a Bicep string, in which nothing is interpolated."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return "'" + "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in escaped) + "'"
