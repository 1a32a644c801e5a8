"""``templates/alibaba`` filled in: the folder that ``deploy.sh`` deploys with Serverless Devs.

Names and limits are those of Alibaba Cloud's SDK models (alibabacloud-fc20230330 4.8.3, 2026-10-08), of the schema of
Serverless Devs' component fc3 (2026-05-28), and of the page on Python runtimes (2026-06-02).
"""

import difflib
import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import Config
from coldpress.errors import TemplateError
from coldpress.render.template import Template, quote, slug

__all__ = ["AUTHS", "DISKS_MB", "REGIONS", "AlibabaValues", "alibaba_values", "render_alibaba"]

AUTHS = ("function", "jwt", "anonymous")
DISKS_MB = (512, 10240)
# Where Function Compute has Python 3.12; it is in ten more regions without it.
REGIONS = (
    *("cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-shenzhen"),
    *("cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2", "ap-southeast-7", "eu-central-1", "eu-west-1"),
    *("us-east-1", "us-west-1"),
)
_PYTHON = "3.12"
_GIB = 1024
_CPU_STEP = 0.05
_ENVIRONMENT_BYTES = 4096
_NAME_CHARACTERS = 48
_DESCRIPTION_CHARACTERS = 256
_TAG_CHARACTERS = 128
# What Serverless Devs evaluates wherever it stands: its own `${...}`, and its template engine's `<%...%>`.
_EVALUATED = ("${", "<%")
_KEY_FIELDS = ("alg", "e", "kty", "n", "use")


@dataclass(frozen=True, kw_only=True)
class AlibabaValues:
    """What one deployment on Function Compute needs to know, checked when it is made.

    Attributes:
        name: the model's name, any text.
        version: the model's version, any text.
        description: what the function does; empty: made from name and version.
        region: one of :data:`REGIONS`.
        python: the function's Python: ``"3.12"``, the one that Function Compute and coldpress both have.
        memory_mb: 128 to 32,768 in steps of 64.
        cpu: vCPUs in steps of 0.05, between a quarter and the whole of the GB of memory; ``None``: one, or as much of
            one as there may be, or as many as there must be.
        disk_mb: one of :data:`DISKS_MB`.
        timeout_s: 1 to 86,400.
        auth: who may call: ``"function"`` (signed requests), ``"jwt"`` or ``"anonymous"``.
        jwks: with ``auth="jwt"``, the JSON Web Key Set that tokens are checked with: one public RSA key.
        canary_percent: the share of the callers that a new version gets first; 0: all at once.
        minimum_instances: instances that stay started, which are billed while idle.
        reserved_concurrency: requests at a time at most; ``None``: no bound of its own.
        internet: whether the function may reach the internet.
        uploads_bucket: the OSS bucket whose uploads are scored; empty: none is watched.
        environment: variables for the function.

    Raises:
        TemplateError: a value that Function Compute or Serverless Devs would refuse.
    """

    name: str
    version: str = "1"
    description: str = ""
    region: str = "cn-shanghai"
    python: str = _PYTHON
    memory_mb: int = 1024
    cpu: float | None = None
    disk_mb: int = 512
    timeout_s: int = 30
    auth: str = "function"
    jwks: str = ""
    canary_percent: int = 10
    minimum_instances: int = 0
    reserved_concurrency: int | None = None
    internet: bool = False
    uploads_bucket: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        _one_of("auth", self.auth, AUTHS)
        _one_of("disk_mb", self.disk_mb, DISKS_MB)
        if self.python != _PYTHON:
            raise TemplateError(f"python is {self.python!r}; Function Compute's newest is {_PYTHON}: set that")
        if self.region not in REGIONS:
            near = difflib.get_close_matches(self.region, REGIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(REGIONS)}"
            raise TemplateError(f"region is {self.region!r}, where Function Compute has no Python {_PYTHON}: {hint}")
        _between("memory_mb", self.memory_mb, 128, 32_768)
        if self.memory_mb % 64:
            raise TemplateError(f"memory_mb is {self.memory_mb}; Function Compute sells steps of 64 MB: round it")
        _between("timeout_s", self.timeout_s, 1, 86_400)
        _between("canary_percent", self.canary_percent, 0, 99)
        _between("minimum_instances", self.minimum_instances, 0, 10_000)
        if self.reserved_concurrency is not None:
            _between("reserved_concurrency", self.reserved_concurrency, 1, 100_000)
        low, high = self._cpu_range()
        steps = self.vcpus / _CPU_STEP
        if not low <= self.vcpus <= high or abs(steps - round(steps)) > 1e-6:
            raise TemplateError(
                f"cpu is {self.cpu}; {self.memory_mb} MB of memory go with {low:g} to {high:g} vCPUs, in steps of 0.05"
            )
        if self.uploads_bucket and not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", self.uploads_bucket):
            raise TemplateError(
                f"uploads_bucket is {self.uploads_bucket!r}; expected 3 to 63 lower-case letters, digits and hyphens"
            )
        self._check_environment()
        _ = self.key  # a key set that cannot be right is refused here

    def _check_environment(self) -> None:
        for name in self.environment:
            if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) or name.startswith(("FC_", "ALIBABA_CLOUD_")):
                raise TemplateError(
                    f"{name!r} cannot name a variable of a function: use letters, digits and _, and no FC_ in front"
                )
        size = sum(len(name.encode()) + len(value.encode()) for name, value in self.environment.items())
        if size > _ENVIRONMENT_BYTES:
            raise TemplateError(
                f"environment has {size} bytes; Function Compute takes {_ENVIRONMENT_BYTES}: shorten it"
            )

    def _cpu_range(self) -> tuple[float, float]:
        gigabytes = self.memory_mb / _GIB
        low = math.ceil(gigabytes / 4 / _CPU_STEP - 1e-9) * _CPU_STEP
        return max(_CPU_STEP, round(low, 2)), min(16.0, round(math.floor(gigabytes / _CPU_STEP + 1e-9) * _CPU_STEP, 2))

    @property
    def vcpus(self) -> float:
        """How many vCPUs the function gets: a model starts and answers on one thread, and faster with a whole one."""
        low, high = self._cpu_range()
        return min(max(1.0, low), high) if self.cpu is None else self.cpu

    @property
    def key(self) -> dict[str, str] | None:
        """The public key that tokens are checked with, when callers bring tokens."""
        if self.auth != "jwt":
            if self.jwks:
                raise TemplateError(f"jwks is set and auth is {self.auth!r}: set auth to 'jwt'")
            return None
        try:
            (key,) = json.loads(self.jwks)["keys"]
            sound = key["kty"] == "RSA" and all(type(key[name]) is str for name in _KEY_FIELDS)
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            raise TemplateError(
                "auth is 'jwt' and jwks is no key set that Function Compute takes: expected one RSA key with "
                f"{', '.join(_KEY_FIELDS)}, in a JSON Web Key Set"
            )
        if "d" in key:
            raise TemplateError("jwks holds a private key (d): it would be deployed; keep the public part alone")
        return {name: key[name] for name in (*_KEY_FIELDS, "kid") if name in key}

    @property
    def function(self) -> str:
        """The function's name, which its roles share."""
        return f"coldpress-{slug(self.name.lower(), _NAME_CHARACTERS)}"

    @property
    def input_prefix(self) -> str:
        """What the names of uploads that are scored begin with."""
        return self.environment.get("COLDPRESS_INPUT_PREFIX", "uploads/")

    @property
    def output_prefix(self) -> str:
        """What the names of answers to uploads begin with."""
        return self.environment.get("COLDPRESS_OUTPUT_PREFIX") or "scores/"


def alibaba_values(config: Config, name: str) -> AlibabaValues:
    """Gather what the templates need from the settings, which also checks it.

    Raises:
        TemplateError: a value that Function Compute would refuse, or a file of keys that cannot be read.
    """
    function, alibaba = config.function, config.targets.alibaba
    try:
        jwks = alibaba.jwks.read_text(encoding="utf-8") if alibaba.jwks is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateError(f"the keys {alibaba.jwks} cannot be read ({error}): check targets.alibaba.jwks") from None
    return AlibabaValues(
        name=name,
        version=config.model.version,
        description=config.model.description,
        region=alibaba.region,
        python=alibaba.python,
        memory_mb=function.memory_mb,
        cpu=alibaba.cpu,
        disk_mb=alibaba.disk_mb,
        timeout_s=function.timeout_s,
        auth=alibaba.auth,
        jwks=jwks,
        canary_percent=alibaba.canary_percent,
        minimum_instances=alibaba.minimum_instances,
        reserved_concurrency=alibaba.reserved_concurrency,
        internet=alibaba.internet,
        uploads_bucket=alibaba.uploads_bucket,
        environment=function.environment,
    )


def render_alibaba(values: AlibabaValues) -> dict[str, str]:
    """Return the deployable folder's files as text by their path.

    Raises:
        TemplateError: the templates and this module do not match, or a text that Serverless Devs would evaluate.
    """
    template = Template(template_root() / "alibaba", _holes(values))

    def piece(name: str, *, wanted: bool = True) -> str:
        return template.fill(name).rstrip("\n") if wanted else ""

    uploads = bool(values.uploads_bucket)
    files = {
        "s.yaml": template.fill(
            "s.yaml",
            auth_config=piece("auth/jwt.yaml", wanted=values.auth == "jwt"),
            role=piece("optional/role.yaml", wanted=uploads),
            uploads=piece("optional/uploads.yaml", wanted=uploads),
        ),
        "deploy.sh": template.fill("deploy.sh"),
        "README.md": template.fill(
            "README.md",
            call=piece(f"call/{values.auth}.sh"),
            uploads_note=piece("optional/uploads.md", wanted=uploads),
        ),
    }
    if values.auth == "function":
        files["call.py"] = template.fill("call.py")
    if uploads:
        names = ("role.sh", *(f"ram/{who}-{what}.json" for who in ("function", "oss") for what in ("trust", "policy")))
        files |= {name: template.fill(name) for name in names}
    template.close()
    return files


def _holes(values: AlibabaValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    described = values.description or f"{values.name} {values.version}, packed by coldpress"
    uploads = bool(values.uploads_bucket)
    tags = {"coldpress-model": values.name, "coldpress-version": values.version}
    holes = {
        "auth": values.auth,
        "auth_reason": {
            "function": "callers sign with an access key",
            "jwt": "callers bring a token",
            "anonymous": "anybody who knows the address may call",
        }[values.auth],
        "call_file": "| `call.py` | a signed request from the shell |" if values.auth == "function" else "",
        "canary_note": (
            f"{values.canary_percent} % of the callers get the new version first.\n"
            "Then `./deploy.sh promote` gives it to all, and `./deploy.sh rollback` to none."
            if values.canary_percent
            else "everybody gets the new version at once."
        ),
        "canary_percent": str(values.canary_percent),
        "canary_share": f"{values.canary_percent / 100:g}",
        "canary_words": (
            f"a new version, which {values.canary_percent} % of the callers get"
            if values.canary_percent
            else "a new version for everybody"
        ),
        "concurrency": (
            "    s concurrency remove -y >/dev/null 2>&1 || true"
            if values.reserved_concurrency is None
            else f"    s concurrency put --reserved-concurrency {values.reserved_concurrency}"
        ),
        "cpu": f"{values.vcpus:g}",
        "description": _text(described[:_DESCRIPTION_CHARACTERS]),
        "disk_mb": str(values.disk_mb),
        "environment": _environment(values.environment),
        "function": values.function,
        "internet": "true" if values.internet or uploads else "false",
        "memory_mb": str(values.memory_mb),
        "name_in_path": quote_url(values.name, safe=""),
        "provision": (
            f"    s provision put --qualifier live --target {values.minimum_instances}"
            if values.minimum_instances
            else "    s provision remove --qualifier live -y >/dev/null 2>&1 || true"
        ),
        "python": values.python,
        "region": values.region,
        "role_files": "| `role.sh`, `ram/` | the roles that scoring uploads needs, and what they allow |"
        if uploads
        else "",
        "tags": "\n".join(f"        - {{key: {key}, value: {_text(_tag(value))}}}" for key, value in tags.items()),
        "timeout_s": str(values.timeout_s),
        "title": " ".join(values.name.replace("`", "'").split()),
        "version_text": shlex.quote(" ".join(values.version.split())),
    }
    if values.key:
        fields = ", ".join(f"{name}: {_text(text)}" for name, text in values.key.items())
        holes["jwks"] = f"{{keys: [{{{fields}}}]}}"
    if uploads:
        bucket = f"acs:oss:*:*:{values.uploads_bucket}"
        holes |= {
            "bucket": values.uploads_bucket,
            "function_role": values.function,
            "input_prefix": _text(values.input_prefix),
            "input_prefix_text": values.input_prefix or "/",
            "oss_role": f"{values.function}-oss",
            "output_prefix_text": values.output_prefix,
            "readable": json.dumps(f"{bucket}/{values.input_prefix}*"),
            "writable": json.dumps(f"{bucket}/{values.output_prefix}*"),
        }
    return holes


def _environment(variables: Mapping[str, str]) -> str:
    if not variables:
        return ""
    lines = [f"        {name}: {_text(value)}" for name, value in variables.items()]
    return "\n".join(["      environmentVariables:", *lines])


def _text(text: str) -> str:
    """Return ``text`` as a YAML string that Serverless Devs hands on as it is."""
    for opening in _EVALUATED:
        if opening in text:
            raise TemplateError(f"{text!r} holds '{opening}', which Serverless Devs evaluates: leave it out")
    return quote(text)


def _tag(value: str) -> str:
    """Return ``value`` with what every resource of Alibaba Cloud allows in a tag."""
    return re.sub(r"[^\w .:/=+\-@]", "-", value)[:_TAG_CHARACTERS]


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if value not in choices:
        raise TemplateError(f"{name} is {value!r}; expected one of {', '.join(map(str, choices))}")


def _between(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise TemplateError(f"{name} is {value}; expected {low} to {high}")
