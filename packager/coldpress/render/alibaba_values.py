"""What one deployment on Function Compute needs to know, and what it may be.

Names and limits are those of Alibaba Cloud's SDK models (alibabacloud-fc20230330 4.8.3, 2026-10-08) and of its page on
Python runtimes (2026-06-02).
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from coldpress.errors import TemplateError
from coldpress.fit.tiers import tier
from coldpress.render.fallback import Asked
from coldpress.render.jwks import public_key
from coldpress.render.template import slug
from coldpress.render.values import Uploads, between, one_of

__all__ = ["AUTHS", "DISKS_MB", "REGIONS", "AlibabaValues"]

AUTHS = ("function", "jwt", "anonymous")
DISKS_MB = (512, 10240)
# Where Function Compute has Python 3.12; it is in ten more regions without it.
REGIONS = (
    *("cn-hangzhou", "cn-shanghai", "cn-qingdao", "cn-beijing", "cn-zhangjiakou", "cn-huhehaote", "cn-shenzhen"),
    *("cn-chengdu", "cn-hongkong", "ap-northeast-1", "ap-northeast-2", "ap-southeast-7", "eu-central-1", "eu-west-1"),
    *("us-east-1", "us-west-1"),
)
_PYTHON = "3.12"
_ENVIRONMENT_BYTES = 4096
_RESERVED = {"accessKeyID", "accessKeySecret", "securityToken", "topic"}
_NAME_CHARACTERS = 48


@dataclass(frozen=True, kw_only=True)
class AlibabaValues(Uploads):
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
        asked: the endpoint that some requests go out to; ``None``: none does.

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
    asked: Asked | None = None

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        one_of("auth", self.auth, AUTHS)
        one_of("disk_mb", self.disk_mb, DISKS_MB)
        if self.python != _PYTHON:
            raise TemplateError(f"python is {self.python!r}; Function Compute's newest is {_PYTHON}: set that")
        if self.region not in REGIONS:
            near = difflib.get_close_matches(self.region, REGIONS, 1)
            hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(REGIONS)}"
            raise TemplateError(f"region is {self.region!r}, where Function Compute has no Python {_PYTHON}: {hint}")
        between("memory_mb", self.memory_mb, 128, 32_768)
        if self.memory_mb % 64:
            raise TemplateError(f"memory_mb is {self.memory_mb}; Function Compute sells steps of 64 MB: round it")
        between("timeout_s", self.timeout_s, 1, 86_400)
        between("canary_percent", self.canary_percent, 0, 99)
        between("minimum_instances", self.minimum_instances, 0, 10_000)
        if self.reserved_concurrency is not None:
            between("reserved_concurrency", self.reserved_concurrency, 1, 100_000)
        low, high = self._cpu_range()
        if not low <= self.vcpus <= high or self.vcpus != round(self.vcpus * 20) / 20:
            raise TemplateError(
                f"cpu is {self.cpu}; {self.memory_mb} MB of memory go with {low:g} to {high:g} vCPUs, in steps of 0.05"
            )
        if self.uploads_bucket and not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", self.uploads_bucket):
            raise TemplateError(
                f"uploads_bucket is {self.uploads_bucket!r}; expected 3 to 63 lower-case letters, digits and hyphens"
            )
        if self.jwks and self.auth != "jwt":
            raise TemplateError(f"jwks is set and auth is {self.auth!r}: set auth to 'jwt'")
        if self.asked is not None and not self.internet:
            raise TemplateError(
                "[fallback] names an endpoint, and targets.alibaba.internet is false, so that none is reached: set "
                "internet to true"
            )
        _ = self.key  # a key set that cannot be right is refused here
        self._check_environment()

    def _check_environment(self) -> None:
        self.check_prefixes()
        for name in self.environment:
            if not re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]*", name) or name.startswith(("FC_", "ALIBABA_CLOUD_")):
                raise TemplateError(
                    f"{name!r} cannot name a variable of a function: use letters, digits and _, and no FC_ in front"
                )
            if name in _RESERVED:
                raise TemplateError(f"{name} is a variable that Function Compute keeps for itself: use another name")
        size = sum(len(name.encode()) + len(value.encode()) for name, value in self.environment.items())
        if size > _ENVIRONMENT_BYTES:
            raise TemplateError(
                f"environment has {size} bytes; Function Compute takes {_ENVIRONMENT_BYTES}: shorten it"
            )

    def _cpu_range(self) -> tuple[float, float]:
        gigabytes = self.memory_mb / 1024
        return max(1, math.ceil(gigabytes / 4 * 20)) / 20, min(320, math.floor(gigabytes * 20)) / 20

    @property
    def vcpus(self) -> float:
        """How many vCPUs the function gets."""
        return tier("alibaba", self.memory_mb).vcpus if self.cpu is None else self.cpu

    @property
    def key(self) -> dict[str, str] | None:
        """The public key that tokens are checked with, when callers bring tokens."""
        return public_key(self.jwks) if self.auth == "jwt" else None

    @property
    def function(self) -> str:
        """The function's name, which its roles share."""
        return f"coldpress-{slug(self.name.lower(), _NAME_CHARACTERS)}"
