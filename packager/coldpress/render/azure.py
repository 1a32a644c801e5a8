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
from coldpress.config import BatchConfig, Config
from coldpress.errors import TemplateError
from coldpress.render.azure_fallback import fallback_pieces
from coldpress.render.bicep import bicep_text
from coldpress.render.fallback import Asked, asked, readme_pieces
from coldpress.render.template import Template, slug
from coldpress.render.values import Uploads, between, one_of
from coldpress.render.weights import weights_place

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
_DAY_S = 24 * 3600
_QUEUE = "coldpress-uploads"  # coldpress_runtime.batch.event_grid listens to it
_UPLOAD_ROLES = {
    "storageBlobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageBlobDataReader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "storageQueueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storageQueueDataMessageSender": "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a",
}


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
        weights: where the model lies that is not in the package, a folder or a blob of a container, or a path; empty:
            it is in the package.
        batch: how uploads are scored row by row, which may take ``batch.timeout_s``; ``None``: each is one request.
        asked: the endpoint that some requests go out to; ``None``: none does.

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
    batch: BatchConfig | None = None
    asked: Asked | None = None
    weights: str = ""

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
        weights_place("azure", self.weights)
        self.check_batch("targets.azure.uploads_container", self.uploads_container)
        if self.batch is not None:
            between("batch.timeout_s", self.batch.timeout_s, 60, _DAY_S - 1)
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
        batch=config.batch,
        asked=asked(config, name, "azure"),
        weights=azure.weights,
    )


def render_azure(values: AzureValues) -> dict[str, str]:
    """Return the deployable folder's files as text by their path.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    template = Template(template_root() / "azure", _holes(values))

    def piece(name: str, *, wanted: bool = True, **pieces: str) -> str:
        return template.fill(name, **pieces).rstrip("\n") if wanted else ""

    uploads, rows = bool(values.uploads_container), values.batch is not None
    place = weights_place("azure", values.weights)
    stored = place is not None and not place.mounted
    blobs = uploads and not rows  # then the host's blob trigger is told of them, which takes a key of the host's
    rights = piece(f"optional/{'batch' if rows else 'upload_rights'}.bicep", wanted=uploads)
    fallback = fallback_pieces(values.asked, values.name, piece, identity_named=stored)
    token_flag = fallback.pop("token_flag")
    files = {
        "main.bicep": template.fill(
            "main.bicep",
            **fallback,
            auth=piece("auth/entra.bicep", wanted=values.auth == "entra"),
            uploads=piece("optional/uploads.bicep", wanted=uploads, upload_rights=rights),
            upload_settings=piece(f"optional/{'batch' if rows else 'upload'}_settings.bicep", wanted=uploads),
            upload_outputs=piece("optional/upload_outputs.bicep", wanted=uploads),
            weights=piece("weights/weights.bicep", wanted=stored),
            weights_settings=piece("weights/settings.bicep", wanted=stored),
        ),
        "main.parameters.json": template.fill("main.parameters.json"),
        "azure.yaml": template.fill("azure.yaml", azd_hooks=piece("optional/azd_hooks.yaml", wanted=blobs)),
        "deploy.sh": template.fill(
            "deploy.sh",
            events=piece("optional/events.sh", wanted=blobs),
            token_flag=token_flag,
            weights="./weights.sh" if stored else "",
        ),
        "README.md": template.fill(
            "README.md",
            call=piece(f"call/{values.auth}.sh"),
            **readme_pieces(values.asked),
            uploads_note=piece(f"optional/{'batch' if rows else 'uploads'}.md", wanted=uploads),
            weights_note=piece(place.note) if place else "",
        ),
    }
    if stored:
        files["weights.sh"] = template.fill("weights/weights.sh")
    if blobs:
        files |= {name: template.fill(name) for name in ("events.bicep", "events.sh")}
    template.close()
    return files


def _holes(values: AzureValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    name = slug(values.name.lower(), 30)
    uploads, rows = bool(values.uploads_container), values.batch is not None
    timeout_s = max(values.timeout_s, values.batch.timeout_s if values.batch else 0)
    holes = {
        "always_ready": _always_ready(values),
        "app_prefix": f"coldpress-{name}",
        "auth_level": "FUNCTION" if values.auth == "function" else "ANONYMOUS",
        "auth_reason": {"function": "a key", "entra": "a token", "anonymous": "nothing"}[values.auth],
        "azd_name": f"coldpress-{name}",
        "concurrency": _concurrency(values.http_concurrency),
        "environment": "\n".join(
            f"        {{ name: '{name}', value: {bicep_text(value)} }}" for name, value in values.environment.items()
        ),
        "events_file": "| `events.bicep`, `events.sh` | who hears of uploads, once there is code |"
        if uploads and not rows
        else "",
        "group": f"coldpress-{name}",
        "location": values.location,
        "log_retention_days": str(values.log_retention_days),
        "maximum_instances": str(values.maximum_instances),
        "memory_mb": str(values.memory_mb),
        "model_tag": bicep_text(values.name[:_TAG_CHARACTERS]),
        "name_in_path": quote_url(values.name, safe=""),
        "python": values.python,
        "slug": name,
        "timeout": f"{timeout_s // 3600:02}:{timeout_s // 60 % 60:02}:{timeout_s % 60:02}",
        "title": " ".join(values.name.replace("`", "'").split()),
        "upload_roles": "\n".join(f"  {role}: '{_UPLOAD_ROLES[role]}'" for role in _upload_roles(values)),
        "version_tag": bicep_text(values.version[:_TAG_CHARACTERS]),
    }
    if place := weights_place("azure", values.weights):
        holes |= place.holes()
    if values.auth == "entra":
        holes["entra_client_id"] = values.entra_client_id
        # There callers have a key of the host and no token: the Azure CLI, which looks at a deployment, and Event Grid.
        paths = ["/admin/host/status"] + ["/runtime/webhooks/blobs"] * (uploads and not rows)
        holes["open_paths"] = ", ".join(f"'{path}'" for path in paths)
    if uploads:
        holes |= {
            "input_prefix": values.input_prefix,
            "output_prefix": values.output_prefix,
            "uploads_container": values.uploads_container,
        }
    if rows:
        holes["queue"] = _QUEUE
    return holes


def _upload_roles(values: AzureValues) -> tuple[str, ...]:
    """Return the roles that main.bicep names for uploads, beside those that it always does."""
    if values.batch is not None:
        return tuple(_UPLOAD_ROLES)
    return ("storageQueueDataContributor",) * bool(values.uploads_container)


def _always_ready(values: AzureValues) -> str:
    if not values.always_ready:
        return ""
    told_by = "blob" if values.batch is None else "function:score_upload"
    groups = ["http"] + [told_by] * bool(values.uploads_container)
    lines = [f"          {{ name: '{group}', instanceCount: {values.always_ready} }}" for group in groups]
    return "\n".join(["        alwaysReady: [ // kept started, and billed while idle", *lines, "        ]"])


def _concurrency(count: int | None) -> str:
    if count is None:
        return ""
    inner = ("triggers: {", "  http: {", f"    perInstanceConcurrency: {count}", "  }", "}")
    return "\n".join("        " + line for line in inner)
