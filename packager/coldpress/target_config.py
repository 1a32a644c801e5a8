"""``[targets.*]`` of ``coldpress.toml`` as frozen records: what each provider alone asks."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["AlibabaConfig", "AwsConfig", "AzureConfig", "ContainerConfig", "GcpConfig", "TargetsConfig"]


@dataclass(frozen=True)
class AwsConfig:
    """``[targets.aws]``: the door in front of the function, and how a new version takes over."""

    auth: Literal["iam", "none", "jwt", "key"] = "iam"
    jwt_issuer: str = ""
    jwt_audience: tuple[str, ...] = ()
    snapstart: bool = False
    canary: str = "Canary10Percent5Minutes"
    tracing: bool = False
    log_retention_days: int = field(default=30, metadata={"at_least": 1})
    reserved_concurrency: int | None = field(default=None, metadata={"at_least": 0})
    upload_events: Literal["s3", "eventbridge"] = "s3"  # what tells of uploads, where [batch] scores them
    weights: str = ""  # s3://BUCKET/FOLDER/ that the model is read from; default: it is in the package


@dataclass(frozen=True)
class GcpConfig:
    """``[targets.gcp]``: where on Cloud Run, who may call, how many instances, and uploads that are scored."""

    project: str = ""  # default: the one that gcloud is set to
    region: str = "europe-west1"
    auth: Literal["iam", "none"] = "iam"
    invokers: tuple[str, ...] = ()  # who may call: "user:...", "group:...", "serviceAccount:..."
    cpu: int | None = None  # default: as few vCPUs as the memory allows
    concurrency: int = field(default=8, metadata={"at_least": 1, "at_most": 1000})
    min_instances: int = field(default=0, metadata={"at_least": 0})
    max_instances: int = field(default=10, metadata={"at_least": 1, "at_most": 1000})
    service_account: str = ""  # default: one of its own, which may do nothing
    uploads_bucket: str = ""
    weights: str = ""  # gs://BUCKET/FOLDER/ that the model is read from; default: it is in the package
    canary_percent: int = field(default=10, metadata={"at_least": 1, "at_most": 100})


@dataclass(frozen=True)
class AzureConfig:
    """``[targets.azure]``: the Flex Consumption plan's instances, who may call, and uploads that are scored.

    ``memory_mb`` is an instance's; the plan sells three sizes, so ``function.memory_mb`` does not count here.
    """

    location: str = "westeurope"
    auth: Literal["function", "entra", "anonymous"] = "function"
    entra_client_id: str = ""
    memory_mb: Literal[512, 2048, 4096] = 2048
    maximum_instances: int = field(default=100, metadata={"at_least": 1, "at_most": 1000})
    always_ready: int = field(default=0, metadata={"at_least": 0})
    http_concurrency: int | None = field(default=None, metadata={"at_least": 1, "at_most": 1000})
    uploads_container: str = ""
    weights: str = ""  # az://ACCOUNT/CONTAINER/FOLDER/ that the model is read from; default: it is in the package
    log_retention_days: int = field(default=30, metadata={"at_least": 30, "at_most": 730})


@dataclass(frozen=True)
class ContainerConfig:
    """``[targets.container]``: the image, how many copies of it run, and who may call."""

    image: str = ""  # default: NAME:VERSION
    base: str = ""  # default: Docker's slim image of function.python
    port: int = field(default=8080, metadata={"at_least": 1024, "at_most": 65535})
    cpu: float = field(default=1.0, metadata={"at_least": 0.1, "at_most": 64})
    concurrency: int = field(default=80, metadata={"at_least": 1, "at_most": 1000})
    min_replicas: int = field(default=0, metadata={"at_least": 0})
    max_replicas: int = field(default=10, metadata={"at_least": 1})
    public: bool = False


@dataclass(frozen=True)
class AlibabaConfig:
    """``[targets.alibaba]``: who may call, how a new version takes over, and uploads that are scored.

    ``python`` is the one version of Function Compute's that coldpress builds for, whatever ``function.python`` says.
    """

    region: str = "cn-shanghai"
    python: Literal["3.12"] = "3.12"
    auth: Literal["function", "jwt", "anonymous"] = "function"
    jwks: Path | None = None  # the keys that tokens are checked with: a JSON Web Key Set
    cpu: float | None = None  # vCPUs; default: one, or what the memory size asks for
    disk_mb: Literal[512, 10240] = 512
    canary_percent: int = field(default=10, metadata={"at_least": 0, "at_most": 99})
    minimum_instances: int = field(default=0, metadata={"at_least": 0, "at_most": 10_000})
    reserved_concurrency: int | None = field(default=None, metadata={"at_least": 1})
    internet: bool = False
    uploads_bucket: str = ""


@dataclass(frozen=True)
class TargetsConfig:
    """``[targets.*]``: one table a provider."""

    aws: AwsConfig = AwsConfig()
    gcp: GcpConfig = GcpConfig()
    azure: AzureConfig = AzureConfig()
    alibaba: AlibabaConfig = AlibabaConfig()
    container: ContainerConfig = ContainerConfig()
