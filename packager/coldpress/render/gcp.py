"""``templates/gcp`` filled in: the folder that ``deploy.sh``, ``gcloud`` and Terraform deploy to Cloud Run.

Names and regions are those of Google's discovery documents in google-api-python-client 2.202.0 (run v1, run v2 and
eventarc v1, 2026-10-31), against which the tests hold what is rendered. What goes with how much memory:
docs.cloud.google.com/run/docs/configuring/services/cpu and .../memory-limits, read 2026-11-21.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import BatchConfig, Config
from coldpress.errors import TemplateError
from coldpress.render.fallback import Asked, asked, readme_pieces
from coldpress.render.gcp_fallback import fallback_pieces
from coldpress.render.gcp_uploads import same_service, service_for_rows
from coldpress.render.template import Template, quote, slug
from coldpress.render.values import Uploads, between, one_of
from coldpress.render.weights import weights_place

__all__ = ["AUTHS", "REGIONS", "GcpValues", "gcp_values", "least_cpu", "render_gcp"]

AUTHS = ("iam", "none")
_PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Where Cloud Run has an endpoint. Not each is open to everybody: `gcloud run regions list` lists those.
REGIONS = (
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2", "asia-northeast3"),
    *("asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2", "asia-southeast3", "asia-southeast4"),
    *("australia-southeast1", "australia-southeast2", "europe-central2", "europe-north1", "europe-north2"),
    *("europe-southwest1", "europe-west1", "europe-west10", "europe-west12", "europe-west15", "europe-west2"),
    *("europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9", "me-central1", "me-central2"),
    *("me-west1", "northamerica-northeast1", "northamerica-northeast2", "northamerica-south1", "southamerica-east1"),
    *("southamerica-west1", "us-central1", "us-central2", "us-east1", "us-east4", "us-east5", "us-east7"),
    *("us-south1", "us-west1", "us-west2", "us-west3", "us-west4", "us-west8"),
)
# vCPUs, and the MiB of memory that may go with them: from, to.
_MEMORY_OF_CPU = {1: (128, 4096), 2: (128, 8192), 4: (2048, 16_384), 6: (4096, 24_576), 8: (4096, 32_768)}
_LEAST_OF_GEN2_MB = 512
# What the templates or Cloud Run set themselves, and what makes another server of the framework's (DEBUG, say).
_OURS = re.compile(
    r"DEBUG|ENTRY_POINT|HOST|PORT|THREADS|WORKERS|K_.*|FUNCTION_.*|CLOUD_RUN_.*|GOOGLE_.*|X_GOOGLE_.*|STORAGE_EMULATOR_HOST"
)
_MEMBER = re.compile(r"(user|serviceAccount|group|domain|principal|principalSet):\S+")
_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")
_ACCOUNT = re.compile(r"[a-z0-9-]+@[a-z0-9.:-]+\.gserviceaccount\.com")
_PREFIX = re.compile(r"[A-Za-z0-9._/-]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SERVICE_CHARACTERS = 40  # of the 49 that a service's name may have; eight are for "-uploads"
_ACCOUNT_CHARACTERS = 27  # of the 30 that an account's name may have; three are for "-up"
_LABEL_CHARACTERS = 63


@dataclass(frozen=True, kw_only=True)
class GcpValues(Uploads):
    """What one deployment on Cloud Run needs to know, checked when it is made.

    Attributes:
        name: the model's name, any text.
        version: the model's version, any text.
        project: the project's id; empty: what the one who deploys has set.
        region: one of :data:`REGIONS`.
        python: the function's Python, such as ``"3.13"``.
        memory_mb: of an instance, 128 to 32,768.
        cpu: vCPUs of an instance, 1, 2, 4, 6 or 8, as the memory allows; ``None``: as few as it allows.
        timeout_s: 1 to 3,600.
        auth: who may call: ``"iam"`` (who has the role ``run.invoker``) or ``"none"`` (everybody).
        invokers: members that get this role, such as ``"serviceAccount:web@project.iam.gserviceaccount.com"``.
        concurrency: requests at a time in one instance, 1 to 1,000.
        min_instances: instances that are kept started, which are billed while idle.
        max_instances: a ceiling on the bill, 1 to 1,000.
        service_account: the account that the function runs as; empty: one of its own, which may do nothing.
        uploads_bucket: the bucket whose uploads are scored; empty: none is watched.
        canary_percent: the share of callers that a new revision gets first, 1 to 100; 100: all of them.
        environment: variables for the function.
        weights: where the model lies that is not in the package, a folder or a file of a bucket, or a path; empty: it
            is in the package.
        batch: how uploads are scored row by row, with memory, a time limit and instances of their own; ``None``: each
            is one request.
        asked: the endpoint that some requests go out to; ``None``: none does.

    Raises:
        TemplateError: a value that Google Cloud would refuse.
    """

    name: str
    version: str = "1"
    project: str = ""
    region: str = "europe-west1"
    python: str = "3.13"
    memory_mb: int = 1024
    cpu: int | None = None
    timeout_s: int = 30
    auth: str = "iam"
    invokers: tuple[str, ...] = ()
    concurrency: int = 8
    min_instances: int = 0
    max_instances: int = 10
    service_account: str = ""
    uploads_bucket: str = ""
    canary_percent: int = 10
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    batch: BatchConfig | None = None
    asked: Asked | None = None
    weights: str = ""

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        one_of("auth", self.auth, AUTHS)
        one_of("python", self.python, _PYTHONS)
        between("memory_mb", self.memory_mb, 128, 32_768)
        between("timeout_s", self.timeout_s, 1, 3600)
        between("concurrency", self.concurrency, 1, 1000)
        between("max_instances", self.max_instances, 1, 1000)
        between("min_instances", self.min_instances, 0, self.max_instances)
        between("canary_percent", self.canary_percent, 1, 100)
        self._check_cpu()
        weights_place("gcp", self.weights)
        if self.region not in REGIONS:
            near = difflib.get_close_matches(self.region.lower(), REGIONS, 1)
            hint = f"did you mean {near[0]}?" if near else "`gcloud run regions list` lists them"
            raise TemplateError(f"region is {self.region!r}, which is no region of Cloud Run: {hint}")
        _written("project", self.project, _PROJECT, "an id of 6 to 30 lower-case letters, digits and hyphens")
        _written("service_account", self.service_account, _ACCOUNT, "an address that ends in .gserviceaccount.com")
        _written("uploads_bucket", self.uploads_bucket, _BUCKET, "a bucket's name, without gs://")
        self.check_batch("targets.gcp.uploads_bucket", self.uploads_bucket)
        if self.batch is not None:
            between("batch.memory_mb", self.batch.memory_mb, _LEAST_OF_GEN2_MB, 32_768)
            between("batch.timeout_s", self.batch.timeout_s, 60, 3600)
        for name, prefix in (
            ("batch.input" if self.batch else "COLDPRESS_INPUT_PREFIX", self.input_prefix),
            ("batch.output" if self.batch else "COLDPRESS_OUTPUT_PREFIX", self.output_prefix),
        ):
            _written(name, prefix, _PREFIX, "letters, digits and ._/- alone, which go into a condition of the bucket")
        self.check_prefixes()
        for member in self.invokers:
            _written("invokers", member, _MEMBER, "members such as 'user:ann@example.com'")
        if self.invokers and self.auth == "none":
            raise TemplateError("invokers are named and auth is 'none', so that everybody may call: set auth to 'iam'")
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or _OURS.fullmatch(name):
                raise TemplateError(
                    f"{name!r} cannot name a variable of yours: use letters, digits and _, and no name that Cloud Run "
                    "sets or the framework reads"
                )

    def _check_cpu(self) -> None:
        if self.cpu is None:
            return
        one_of("cpu", self.cpu, tuple(_MEMORY_OF_CPU))
        low, high = _MEMORY_OF_CPU[self.cpu]
        if not low <= self.memory_mb <= high:
            raise TemplateError(
                f"cpu is {self.cpu} and memory_mb is {self.memory_mb}; expected {low} to {high} MB with {self.cpu} vCPU"
            )


def gcp_values(config: Config, name: str) -> GcpValues:
    """Gather what the templates need from the settings, which also checks it."""
    function, gcp = config.function, config.targets.gcp
    return GcpValues(
        name=name,
        version=config.model.version,
        project=gcp.project,
        region=gcp.region,
        python=function.python,
        memory_mb=function.memory_mb,
        cpu=gcp.cpu,
        timeout_s=function.timeout_s,
        auth=gcp.auth,
        invokers=gcp.invokers,
        concurrency=gcp.concurrency,
        min_instances=gcp.min_instances,
        max_instances=gcp.max_instances,
        service_account=gcp.service_account,
        uploads_bucket=gcp.uploads_bucket,
        canary_percent=gcp.canary_percent,
        environment=function.environment,
        batch=config.batch,
        asked=asked(config, name, "gcp"),
        weights=gcp.weights,
    )


def least_cpu(memory_mb: int) -> int:
    """Return as few vCPUs as an instance with that memory may have."""
    return next(cpu for cpu, (low, high) in _MEMORY_OF_CPU.items() if low <= memory_mb <= high)


def render_gcp(values: GcpValues) -> dict[str, str]:
    """Return the deployable folder's files as text by their path.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    template = Template(template_root() / "gcp", _holes(values))

    def piece(name: str, *, wanted: bool = True, **pieces: str) -> str:
        return template.fill(name, **pieces).rstrip("\n") if wanted else ""

    uploads, rows = bool(values.uploads_bucket), values.batch is not None
    place = weights_place("gcp", values.weights)
    stored = place is not None and not place.mounted
    fallback = fallback_pieces(values.asked, values.project or "PROJECT", piece)
    rows_in_shell = piece("optional/batch.sh", wanted=rows)
    files = {
        "deploy.sh": template.fill(
            "deploy.sh",
            account=piece("optional/account.sh", wanted=not values.service_account),
            project=values.project or "$(gcloud config get-value project)",
            **fallback["deploy.sh"],
            uploads=piece("optional/uploads.sh", wanted=uploads, batch=rows_in_shell),
            weights=piece("weights/deploy.sh", wanted=stored),
        ),
        "canary.sh": template.fill("canary.sh", project=values.project or "$(gcloud config get-value project)"),
        "environment.yaml": template.fill("environment.yaml"),
        "service.yaml": template.fill("service.yaml", **fallback["service.yaml"]),
        "main.tf": template.fill(
            "main.tf",
            batch=piece("optional/batch.tf", wanted=rows),
            **fallback["main.tf"],
            weights=piece("weights/weights.tf", wanted=stored),
        ),
        "variables.tf": template.fill("variables.tf", project=_default(values.project), **fallback["variables.tf"]),
        "README.md": template.fill(
            "README.md",
            call=piece(f"call/{values.auth}.sh"),
            uploads_note=piece(f"optional/{'batch' if rows else 'uploads'}.md", wanted=uploads),
            **readme_pieces(values.asked),
            weights_note=piece(place.note) if place else "",
        ),
    }
    if stored:
        files["weights.sh"] = template.fill("weights/weights.sh")
    template.close()
    return files


def _holes(values: GcpValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    service = _within(f"coldpress-{slug(values.name.lower())}", _SERVICE_CHARACTERS)
    account = _within(service, _ACCOUNT_CHARACTERS)
    project = values.project or "PROJECT"
    cpu = values.cpu or least_cpu(values.memory_mb)
    # gunicorn's threads, so that as many requests run as Cloud Run sends at a time.
    environment = {"THREADS": str(values.concurrency)} | dict(values.environment)
    gen1 = values.memory_mb < _LEAST_OF_GEN2_MB
    holes = {
        "canary_percent": str(values.canary_percent),
        "concurrency": str(values.concurrency),
        "cpu": str(cpu),
        "environment": "\n".join(f"{key}: {quote(value)}" for key, value in environment.items()),
        "environment_of_container": "\n".join(
            f"            - {{name: {key}, value: {quote(value)}}}" for key, value in environment.items()
        ),
        "environment_of_terraform": "\n".join(
            f"    {key} = {_hcl(value)}" for key, value in values.environment.items()
        ),
        "image": f"{values.region}-docker.pkg.dev/{project}/cloud-run-source-deploy/{service}-whole:latest",
        "generation": "        run.googleapis.com/execution-environment: gen1" if gen1 else "",
        "generation_flag": " --execution-environment=gen1" if gen1 else "",
        "input_prefix_of_terraform": _hcl(values.input_prefix),
        "output_prefix_of_terraform": _hcl(values.output_prefix),
        "invoker_check": "--invoker-iam-check" if values.auth == "iam" else "--no-invoker-iam-check",
        "invoker_check_off": "false" if values.auth == "iam" else "true",
        "invokers": _invokers(values),
        "invokers_of_terraform": f"[{', '.join(map(_hcl, values.invokers))}]",
        "max_instances": str(values.max_instances),
        "memory_mb": str(values.memory_mb),
        "min_instances": str(values.min_instances),
        "model_label": _label(values.name),
        "name_in_path": quote_url(values.name, safe=""),
        "own_account": account,
        "python": values.python.replace(".", ""),
        "python_version": values.python,
        "region": values.region,
        "service": service,
        "service_account": values.service_account or f"{account}@$PROJECT.iam.gserviceaccount.com",
        "service_account_of_yaml": values.service_account or f"{account}@{project}.iam.gserviceaccount.com",
        "service_account_of_terraform": _hcl(values.service_account),
        "timeout_s": str(values.timeout_s),
        "title": " ".join(values.name.replace("`", "'").split()),
        "uploads_bucket_of_terraform": _hcl(values.uploads_bucket),
        "version_label": _label(values.version),
    }
    if values.batch is None:
        holes |= same_service(holes, gen1=gen1, in_shell=bool(values.uploads_bucket))
    else:
        holes |= service_for_rows(values.batch, max(values.cpu or 1, least_cpu(values.batch.memory_mb)))
    if place := weights_place("gcp", values.weights):
        holes |= place.holes()
    if values.uploads_bucket:
        holes |= {
            "uploads_bucket": values.uploads_bucket,
            "input_prefix": values.input_prefix,
            "output_prefix": values.output_prefix,
        }
    return holes


def _within(name: str, limit: int) -> str:
    """Return ``name`` in at most ``limit`` characters; names that differ stay different."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 5].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"


def _invokers(values: GcpValues) -> str:
    """Return the lines of a shell script that let the named members call."""
    command = (
        'gcloud run services add-iam-policy-binding "$SERVICE" --project="$PROJECT" --region="$REGION" \\\n'
        "  --role=roles/run.invoker --member={} --quiet >/dev/null"
    )
    return "\n".join(command.format(_shell(member)) for member in values.invokers)


def _label(value: str) -> str:
    """Return ``value`` with what Google Cloud allows in a label: lower-case letters, digits, ``_`` and ``-``."""
    return re.sub(r"[^a-z0-9_-]", "-", value.lower())[:_LABEL_CHARACTERS]


def _hcl(text: str) -> str:
    r"""Return ``text`` as a string of Terraform's language, in which nothing is interpolated."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _default(text: str) -> str:
    return f"  default     = {_hcl(text)}" if text else ""


def _shell(text: str) -> str:
    """Return ``text`` as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _written(name: str, value: str, form: re.Pattern[str], expected: str) -> None:
    if value and not form.fullmatch(value):
        raise TemplateError(f"{name} is {value!r}; expected {expected}")
