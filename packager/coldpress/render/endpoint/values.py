"""What the templates of an endpoint need to know, checked when it is made."""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coldpress.errors import TemplateError
from coldpress.fallback_config import ENDPOINTS
from coldpress.render.template import slug
from coldpress.render.values import between, one_of

if TYPE_CHECKING:
    from coldpress.config import Config

__all__ = ["MACHINES", "TARGETS_OF", "EndpointValues", "Machine", "endpoint_name", "endpoint_values", "online_name"]


@dataclass(frozen=True)
class Machine:
    """What an endpoint runs on unless it is told otherwise: the provider's name for it, its GPU, CPUs and memory."""

    instance: str
    gpu: str
    cpu: int
    memory_gb: int


MACHINES = {
    "sagemaker": Machine("ml.g4dn.xlarge", "T4", 4, 16),
    "sagemaker-async": Machine("ml.g4dn.xlarge", "T4", 4, 16),
    "cloud-run-gpu": Machine("nvidia-l4", "L4", 4, 16),
    "container-apps-gpu": Machine("Consumption-GPU-NC8as-T4", "T4", 8, 56),
    "vertex": Machine("g2-standard-4", "L4", 4, 16),
    "azure-ml": Machine("Standard_NC4as_T4_v3", "T4", 4, 28),
    "kserve": Machine("nvidia.com/gpu", "GPU", 4, 16),
    "kubernetes": Machine("nvidia.com/gpu", "GPU", 4, 16),
    "lambda-gpu-experimental": Machine("24", "GPU", 4, 32),
}
TARGETS_OF = {
    "http": ("aws", "gcp", "azure", "alibaba", "container"),
    "sagemaker": ("aws",),
    "sagemaker-async": ("aws",),
    "lambda-gpu-experimental": ("aws",),
    "cloud-run-gpu": ("gcp",),
    "vertex": ("gcp",),
    "container-apps-gpu": ("azure",),
    "azure-ml": ("azure",),
    "kserve": ("container",),
    "kubernetes": ("container",),
}
"""The targets whose functions have an identity that the endpoint can let in."""
# Where Cloud Run has L4s: docs.cloud.google.com/run/docs/configuring/services/gpu, read 2026-11-21.
_L4_REGIONS = ("asia-southeast1", "europe-west1", "europe-west4", "us-central1", "us-east4")
_INSTANCES = {
    "sagemaker": r"ml\.[a-z0-9-]+\.[a-z0-9]+",
    "vertex": r"g2-standard-(4|8|12|16|24|32|48|96)",
    "azure-ml": r"Standard_[A-Za-z0-9_]+",
    "container-apps-gpu": r"Consumption-GPU-NC8as-T4|Consumption-GPU-NC24-A100",
    "cloud-run-gpu": r"nvidia-l4",
    "lambda-gpu-experimental": r"3|6|12|16|24|48",  # GiB of GPU memory, as botocore 1.44.5 lists them
}
_INSTANCES["sagemaker-async"] = _INSTANCES["sagemaker"]
_AT_ZERO = {"sagemaker": 1, "azure-ml": 1, "kubernetes": 1}
"""The copies that a kind keeps at least, where it cannot do with none."""
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._:/-]*[a-z0-9](?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?")
_NAME_CHARACTERS = 32  # of a container app, the shortest that a provider allows


@dataclass(frozen=True, kw_only=True)
class EndpointValues:
    """What one endpoint needs to know.

    Attributes:
        name: the model's name, any text; the endpoint answers to it.
        version: the model's version, any text.
        kind: one of ``ENDPOINTS`` but ``http``.
        target: the function that asks, as in ``--target``.
        project: Google Cloud's project; empty: what the one who deploys has set.
        region: where; empty: where the function is.
        image: the image's name with its registry; empty: the deployment makes and names it.
        instance: the machine as the provider calls it; empty: ``MACHINES`` says.
        gpu: whether there is one; without, Kubernetes and KServe start the image for CPUs.
        min_instances: copies that are kept when nobody asks.
        max_instances: copies at most.
        timeout_s: how long an answer may take.
        waking: what the function does while a copy starts: ``small``, ``queue`` or ``refuse``.

    Raises:
        TemplateError: a value that the provider would refuse.
    """

    name: str
    version: str = "1"
    kind: str
    target: str
    project: str = ""
    region: str = ""
    image: str = ""
    instance: str = ""
    gpu: bool = True
    min_instances: int = 0
    max_instances: int = 1
    timeout_s: int = 60
    waking: str = "small"

    def __post_init__(self) -> None:
        """Refuse what a deployment would only refuse minutes later."""
        one_of("fallback.endpoint", self.kind, ENDPOINTS[1:])
        if self.target not in TARGETS_OF[self.kind]:
            able = [kind for kind, targets in TARGETS_OF.items() if self.target in targets]
            raise TemplateError(
                f"fallback.endpoint is {self.kind!r}, which lets in functions of {', '.join(TARGETS_OF[self.kind])}, "
                f"and the target is {self.target}; expected one of {', '.join(able)}"
            )
        between("fallback.max_instances", self.max_instances, 1, 100)
        between("fallback.min_instances", self.min_instances, 0, self.max_instances)
        if self.instance and not re.fullmatch(_INSTANCES.get(self.kind, r"(?!)"), self.instance):
            example = MACHINES[self.kind].instance
            raise TemplateError(f"fallback.instance is {self.instance!r}; {self.kind} takes such as {example!r}")
        if self.kind == "cloud-run-gpu" and self.region not in _L4_REGIONS:
            raise TemplateError(
                f"region is {self.region!r}, where Cloud Run has no L4; expected one of {', '.join(_L4_REGIONS)}: set "
                "fallback.region"
            )
        if self.image and not _IMAGE.fullmatch(self.image):
            raise TemplateError(
                f"fallback.image is {self.image!r}; expected an image's name in lower case, such as "
                "'registry.example/team/digits-gpu:1'"
            )

    @property
    def machine(self) -> Machine:
        """What it runs on unless it is told otherwise."""
        return MACHINES[self.kind]

    @property
    def least(self) -> int:
        """Copies that are kept: at least one where the kind cannot do with none."""
        return max(self.min_instances, _AT_ZERO.get(self.kind, 0))

    @property
    def endpoint(self) -> str:
        """What the endpoint is called, in at most 32 lower-case letters, digits and hyphens."""
        return endpoint_name(self.name)


def endpoint_name(model: str) -> str:
    """Return an endpoint's name; models that differ get different ones."""
    limit = _NAME_CHARACTERS - len("-endpoint")
    name = f"coldpress-{slug(model.lower())}"
    if len(name) > limit:
        name = f"{name[: limit - 5].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:4]}"
    return f"{name}-endpoint"


def online_name(model: str) -> str:
    """Return what an online endpoint of Azure ML is called, before what makes it different from everybody else's."""
    return f"cp-{slug(model.lower(), 14)}"


def endpoint_values(config: "Config", name: str, target: str) -> EndpointValues | None:
    """Gather what the templates need from the settings; None where no endpoint is rendered.

    Raises:
        TemplateError: the endpoint cannot be had, or not beside this target.
    """
    fallback = config.fallback
    if fallback is None or not fallback.rendered:
        return None
    own = getattr(config.targets, target)
    return EndpointValues(
        name=name,
        version=config.model.version,
        kind=fallback.endpoint,
        target=target,
        project=getattr(own, "project", ""),
        region=fallback.region or getattr(own, "region", "") or getattr(own, "location", ""),
        image=fallback.image,
        instance=fallback.instance,
        gpu=fallback.gpu,
        min_instances=fallback.min_instances,
        max_instances=fallback.max_instances,
        timeout_s=max(1, round(fallback.deadline_s)),
        waking=fallback.while_waking,
    )
