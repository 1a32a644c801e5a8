"""``templates/aws`` filled in: the folder in which ``sam deploy`` works.

Limits and names of CloudFormation are those of the resource schemas in cfn-lint 1.58.0 (2026-10-20) and of
aws-sam-translator 1.115.0 (2026-10-12).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import BatchConfig, Config
from coldpress.errors import TemplateError
from coldpress.render.aws_batch import UPLOAD_EVENTS, batch_holes, batch_pieces, check_batch, variable_lines
from coldpress.render.fallback import Asked, asked, readme_pieces
from coldpress.render.template import Template, quote, slug
from coldpress.render.values import between, one_of
from coldpress.render.weights import weights_place

__all__ = ["AUTHS", "CANARIES", "LOG_RETENTION_DAYS", "AwsValues", "aws_values", "render_aws"]

AUTHS = ("iam", "jwt", "key", "none")
# What CodeDeploy's predefined Lambda configurations are called in SAM.
CANARIES = (
    "AllAtOnce",
    "Canary10Percent5Minutes",
    "Canary10Percent10Minutes",
    "Canary10Percent15Minutes",
    "Canary10Percent30Minutes",
    "Linear10PercentEvery1Minute",
    "Linear10PercentEvery2Minutes",
    "Linear10PercentEvery3Minutes",
    "Linear10PercentEvery10Minutes",
)
# What AWS::Logs::LogGroup takes as RetentionInDays.
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400),
    *(545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# How long the API in front of the function waits for it, in seconds.
_API_WAIT_S = {"http": 30, "rest": 29}
_DESCRIPTION_CHARACTERS = 256
# Names that Lambda reserves, and what all variables may have together:
# docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html and .../gettingstarted-limits.html
_LAMBDAS = re.compile(
    r"AWS_((DEFAULT_)?REGION|EXECUTION_ENV|ACCESS_KEY(_ID)?|SECRET_ACCESS_KEY|SESSION_TOKEN)|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
    r"|AWS_LAMBDA_(FUNCTION_(NAME|VERSION|MEMORY_SIZE)|INITIALIZATION_TYPE|LOG_(GROUP|STREAM)_NAME|RUNTIME_API)"
)
_ENVIRONMENT_BYTES = 4096
_TAG_CHARACTERS = 256
# What tells the function where the endpoint is, by its kind.
_VARIABLES = {
    "sagemaker": ("COLDPRESS_FALLBACK_ENDPOINT: !Ref FallbackEndpoint",),
    "sagemaker-async": (
        "COLDPRESS_FALLBACK_ENDPOINT: !Ref FallbackEndpoint",
        "COLDPRESS_FALLBACK_OUTPUT: !Sub s3://${FallbackEndpoint}-${AWS::AccountId}-${AWS::Region}/jobs/",
    ),
    "lambda-gpu-experimental": ('COLDPRESS_FALLBACK_URL: {"Fn::ImportValue": !Sub "${FallbackEndpoint}-url"}',),
    "token": ("COLDPRESS_FALLBACK_TOKEN: !Ref FallbackToken",),
}


@dataclass(frozen=True, kw_only=True)
class AwsValues:
    """What one deployment on AWS needs to know, checked when it is made.

    Attributes:
        name: the model's name, any text.
        version: the model's version, any text.
        description: what the function does; empty: made from name and version.
        python: the function's Python, such as ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        memory_mb: 128 to 10,240.
        timeout_s: 1 to 900.
        auth: who may call: ``"iam"`` (signed), ``"jwt"``, ``"key"`` (an API key, on a REST API) or ``"none"``.
        jwt_issuer: the tokens' issuer, an https URL; needed by ``auth="jwt"`` and by nothing else.
        jwt_audience: the accepted audiences; at least one with ``auth="jwt"``.
        snapstart: start from a snapshot of the loaded model.
        canary: how a release takes over; one of :data:`CANARIES`.
        tracing: sample requests into X-Ray.
        reserved_concurrency: copies of the function at most; ``None``: no reservation.
        log_retention_days: one of :data:`LOG_RETENTION_DAYS`.
        environment: variables for the function.
        batch: how uploads are scored row by row, by a function of its own; ``None``: nothing does it.
        upload_events: what tells of an upload: the bucket (``"s3"``), or ``"eventbridge"``.
        weights: where the model lies that is not in the package, a folder or a file of a bucket, or a path; empty: it
            is in the package.
        asked: the endpoint that some requests go out to; ``None``: none does.

    Raises:
        TemplateError: a value that CloudFormation or Lambda would refuse.
    """

    name: str
    version: str = "1"
    description: str = ""
    python: str = "3.13"
    architecture: str = "x86_64"
    memory_mb: int = 1024
    timeout_s: int = 30
    auth: str = "iam"
    jwt_issuer: str | None = None
    jwt_audience: tuple[str, ...] = ()
    snapstart: bool = False
    canary: str = "Canary10Percent5Minutes"
    tracing: bool = False
    reserved_concurrency: int | None = None
    log_retention_days: int = 30
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    batch: BatchConfig | None = None
    upload_events: str = "s3"
    asked: Asked | None = None
    weights: str = ""

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        one_of("auth", self.auth, AUTHS)
        one_of("canary", self.canary, CANARIES)
        one_of("architecture", self.architecture, ("x86_64", "arm64"))
        one_of("log_retention_days", self.log_retention_days, LOG_RETENTION_DAYS)
        between("memory_mb", self.memory_mb, 128, 10_240)
        between("timeout_s", self.timeout_s, 1, 900)
        if self.reserved_concurrency is not None:
            between("reserved_concurrency", self.reserved_concurrency, 0, 100_000)
        if not re.fullmatch(r"3\.[0-9]+", self.python):
            raise TemplateError(f"python is {self.python!r}; expected a minor version such as '3.13'")
        if self.snapstart and int(self.python[2:]) < 12:
            raise TemplateError(f"SnapStart needs Python 3.12 or later and python is {self.python}: raise it")
        if self.auth == "jwt" and not (self.jwt_issuer and self.jwt_audience):
            raise TemplateError("auth is 'jwt' and jwt_issuer or jwt_audience is missing: say whose tokens to accept")
        if self.auth != "jwt" and (self.jwt_issuer or self.jwt_audience):
            raise TemplateError(f"jwt_issuer and jwt_audience are set and auth is {self.auth!r}: set auth to 'jwt'")
        self._check_environment()
        weights_place("aws", self.weights)
        one_of("upload_events", self.upload_events, UPLOAD_EVENTS)
        if self.batch is not None:
            check_batch(self.batch)

    def _check_environment(self) -> None:
        for name in self.environment:
            if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]+", name):
                raise TemplateError(f"{name!r} cannot name a variable of a Lambda function: use letters, digits and _")
            if _LAMBDAS.fullmatch(name):
                raise TemplateError(f"{name!r} is a variable that Lambda itself sets and lets nobody set: rename it")
        size = sum(len(name.encode()) + len(value.encode()) for name, value in self.environment.items())
        if size > _ENVIRONMENT_BYTES:
            raise TemplateError(f"environment has {size} bytes; Lambda takes {_ENVIRONMENT_BYTES}: shorten it")


def aws_values(config: Config, name: str) -> AwsValues:
    """Gather what the templates need from the settings, which also checks it."""
    function, aws = config.function, config.targets.aws
    return AwsValues(
        name=name,
        version=config.model.version,
        description=config.model.description,
        python=function.python,
        architecture=function.architecture,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        environment=function.environment,
        auth=aws.auth,
        jwt_issuer=aws.jwt_issuer or None,
        jwt_audience=aws.jwt_audience,
        snapstart=aws.snapstart,
        canary=aws.canary,
        tracing=aws.tracing,
        reserved_concurrency=aws.reserved_concurrency,
        log_retention_days=aws.log_retention_days,
        batch=config.batch,
        upload_events=aws.upload_events,
        asked=asked(config, name, "aws"),
        weights=aws.weights,
    )


def render_aws(values: AwsValues, source: Literal["zip", "makefile"] = "zip") -> dict[str, str]:
    """Return the deployable folder's files as text by their path: ``template.yaml``, ``samconfig.toml``, ``README.md``.

    Args:
        values: what differs between two deployments.
        source: where SAM takes the code from: ``"zip"`` uploads ``function.zip`` as it lies there; ``"makefile"`` has
            ``sam build`` call the target ``build-Function`` of a ``Makefile`` beside the template.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    api = _api(values)
    template = Template(template_root() / "aws", _holes(values, source))

    def piece(name: str, **pieces: str) -> str:
        return template.fill(name, **pieces).rstrip("\n")

    def call(url: str, region: str) -> str:
        return piece(f"call/{values.auth}.sh", url=url, **({"region": region} if values.auth == "iam" else {}))

    address = "https://${%sApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}%s"
    address %= ("Rest", "/live") if api == "rest" else ("Http", "")
    traces = piece("optional/traces.yaml") if values.tracing else ""
    batch = batch_pieces(values.batch, values.upload_events, piece, traces)
    place = weights_place("aws", values.weights)
    stored = place is not None and not place.mounted
    pieces = {
        "api": piece(
            f"api/{api}.yaml",
            call=call(address, "${AWS::Region}").splitlines()[-1],
            batch_outputs=batch["outputs"],
            **({"auth": piece(f"auth/{values.auth}.yaml")} if api == "http" else {}),
        ),
        "concurrency": "" if values.reserved_concurrency is None else piece("optional/concurrency.yaml"),
        "traces": traces,
        "batch_parameters": batch["parameters"],
        "batch_conditions": batch["conditions"],
        "batch_resources": batch["resources"],
        "weights_parameter": piece("weights/parameter.yaml") if stored else "",
        "weights_policy": piece("weights/policy.yaml") if stored else "",
        **_fallback(values.asked, piece),
    }
    files = {
        "template.yaml": template.fill("template.yaml", **pieces),
        "samconfig.toml": template.fill("samconfig.toml"),
        "README.md": template.fill(
            "README.md",
            call=call("$URL", "$AWS_REGION"),
            batch_file=batch["file"],
            batch_readme=batch["readme"],
            weights_note=piece(place.note) if place else "",
            **readme_pieces(values.asked),
        ),
    }
    if stored:
        files["weights.sh"] = template.fill("weights/weights.sh")
    template.close()
    return files


def _api(values: AwsValues) -> Literal["http", "rest"]:
    return "rest" if values.auth == "key" else "http"


def _holes(values: AwsValues, source: str) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    api = _api(values)
    described = values.description or f"{values.name} {values.version}, packed by coldpress"
    tags = {"coldpress:model": values.name, "coldpress:version": values.version}
    holes = {
        "access_log": '"off"' if api == "rest" else '"on"',
        "api_wait_s": str(_API_WAIT_S[api]),
        "architecture": values.architecture,
        "build": "      BuildMethod: makefile" if source == "makefile" else "",
        "canary": values.canary,
        "code": "." if source == "makefile" else "function.zip",
        "description": quote(described[:_DESCRIPTION_CHARACTERS]),
        "environment": _environment(values.environment, values.asked, values.weights),
        "latency_alarm_ms": str(values.timeout_s * 500),
        "log_retention_days": str(values.log_retention_days),
        "memory_mb": str(values.memory_mb),
        "name_in_path": quote_url(values.name, safe=""),
        "runtime": f"python{values.python}",
        "snapstart": "PublishedVersions" if values.snapstart else '"None"',
        "stack": f"coldpress-{slug(values.name)}",
        "tags": "\n".join(f"        {quote(key)}: {quote(_tag(value))}" for key, value in tags.items()),
        "timeout_s": str(values.timeout_s),
        "title": " ".join(values.name.replace("`", "'").split()),
        "tracing": "Active" if values.tracing else "PassThrough",
    }
    if values.batch is not None:
        holes["scoring_traces"] = "true" if values.tracing else "false"
    if api == "rest":
        holes["api_traces"] = "true" if values.tracing else "false"
    if values.auth == "jwt":
        holes["jwt_issuer"] = quote(values.jwt_issuer or "")
        holes["jwt_audience"] = ", ".join(map(quote, values.jwt_audience))
    if values.reserved_concurrency is not None:
        holes["reserved_concurrency"] = str(values.reserved_concurrency)
    if place := weights_place("aws", values.weights):
        holes |= place.holes()
    if values.batch is not None:
        holes |= batch_holes(values.batch, values.name, values.environment)
    return holes


def _fallback(endpoint: Asked | None, piece: Callable[..., str]) -> dict[str, str]:
    """Return the parameters and the permission for the endpoint that is asked, nothing where there is none."""
    rendered, token = endpoint is not None and endpoint.rendered, endpoint is not None and endpoint.token
    parameters = piece("fallback/parameters.yaml", endpoint=endpoint.name) if endpoint and rendered else ""
    return {
        "fallback_parameters": piece("fallback/token.yaml") if token else parameters,
        "fallback_policy": piece(f"fallback/{endpoint.kind}.yaml") if endpoint and rendered else "",
    }


def _environment(variables: Mapping[str, str], endpoint: Asked | None, weights: str) -> str:
    lines = [variable_lines(variables)] if variables else []
    place = weights_place("aws", weights)
    if place and not place.mounted and "COLDPRESS_WEIGHTS" not in variables:
        lines.append(f'          COLDPRESS_WEIGHTS: !Sub "s3://${{WeightsBucket}}/{place.folder}{place.file}"')
    if endpoint is not None:
        lines += [f"          {line}" for line in _VARIABLES.get("token" if endpoint.token else endpoint.kind, ())]
    return "\n".join(["      Environment:", "        Variables:", *lines]) if lines else ""


def _tag(value: str) -> str:
    """Return ``value`` with what AWS allows in a tag: letters, digits, spaces and ``_.:/=+-@``."""
    return re.sub(r"[^\w .:/=+\-@]", "-", value)[:_TAG_CHARACTERS]
