"""The rendered trees that are kept in the repository, and how to render them again.

    make golden        (or: python -m tests.support.golden)

renders ``tests/golden/TARGET/CASE/``, the generated files of ``sam/`` and the README's tables again. Look at the
difference with git: a change that you did not mean is a bug in a template or in the code that fills it. Mend that, and
do not keep the new tree.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from coldpress.config import BatchConfig
from coldpress.render.alibaba import AlibabaValues, render_alibaba
from coldpress.render.aws import AwsValues, render_aws
from coldpress.render.azure import AzureValues, render_azure
from coldpress.render.container import ContainerValues, render_container
from coldpress.render.endpoint import EndpointValues, render_endpoint
from coldpress.render.fallback import Asked
from coldpress.render.gcp import GcpValues, render_gcp
from coldpress.render.template import write_files

__all__ = [
    "ALIBABA_CASES",
    "AWS_CASES",
    "AZURE_CASES",
    "CONTAINER_CASES",
    "ENDPOINT_CASES",
    "GCP_CASES",
    "GOLDEN",
    "SAM",
    "TREES",
    "differences",
    "endpoint_files",
    "sam_files",
]

_ENDPOINT = "coldpress-digits-endpoint"
_ELSEWHERE = Asked(kind="http", name="", auth="bearer", url="https://gpu.example")

_ROOT = Path(__file__).resolve().parents[2]
TREES = _ROOT / "tests" / "golden"
GOLDEN = TREES / "aws"
SAM = _ROOT / "sam"
_FILE = "0123456789abcdef" * 4 + ".ort"  # a model that is not in the package

AWS_CASES: Mapping[str, AwsValues] = {
    "default": AwsValues(name="digits"),
    "jwt": AwsValues(
        name="digits", auth="jwt", jwt_issuer="https://issuer.example/pool", jwt_audience=("web", "mobile")
    ),
    "key": AwsValues(name="digits", auth="key", tracing=True),
    "none": AwsValues(name="digits", auth="none", canary="AllAtOnce"),
    "everything": AwsValues(
        name="on: {weird} ${AWS::Region} \u2028 'name'",
        version="1.0",
        description='Reads "digits" #1: yes',
        python="3.12",
        architecture="arm64",
        memory_mb=3538,
        timeout_s=60,
        snapstart=True,
        canary="Linear10PercentEvery2Minutes",
        tracing=True,
        reserved_concurrency=20,
        log_retention_days=365,
        environment={"GREETING": 'yes: "no"\n', "LEVEL": "1.0"},
    ),
    "weights": AwsValues(name="digits", weights=f"s3://models/digits/{_FILE}", environment={"LEVEL": "1.0"}),
    "uploads": AwsValues(name="digits", batch=BatchConfig()),
    "sagemaker": AwsValues(name="digits", asked=Asked(kind="sagemaker", name=_ENDPOINT)),
    "sagemaker-async": AwsValues(name="digits", asked=Asked(kind="sagemaker-async", name=_ENDPOINT)),
    "lambda-gpu": AwsValues(name="digits", asked=Asked(kind="lambda-gpu-experimental", name=_ENDPOINT)),
    "endpoint-elsewhere": AwsValues(name="digits", environment={"LEVEL": "1.0"}, asked=_ELSEWHERE),
    "uploads-eventbridge": AwsValues(
        name='on: {weird} ${AWS::Region} "name"',
        description="Rows",
        auth="key",
        tracing=True,
        environment={"GREETING": 'yes: "no"\n'},
        upload_events="eventbridge",
        batch=BatchConfig(
            input="in/", output="out/rows.d/", format="csv", memory_mb=10_240, timeout_s=60, concurrency=1000
        ),
    ),
}

AZURE_CASES: Mapping[str, AzureValues] = {
    "default": AzureValues(name="digits"),
    "weights": AzureValues(name="digits", weights=f"az://account/models/digits/{_FILE}"),
    "uploads": AzureValues(name="digits", uploads_container="data", always_ready=1),
    "batch": AzureValues(
        name="digits",
        uploads_container="data",
        always_ready=1,
        batch=BatchConfig(input="in/", output="out/", timeout_s=5400),
    ),
    "container-apps-gpu": AzureValues(name="digits", asked=Asked(kind="container-apps-gpu", name=_ENDPOINT)),
    "azure-ml": AzureValues(name="digits", asked=Asked(kind="azure-ml", name=_ENDPOINT)),
    "endpoint-elsewhere": AzureValues(name="digits", asked=_ELSEWHERE),
    "anonymous": AzureValues(name="digits", auth="anonymous", memory_mb=512, timeout_s=230),
    "everything": AzureValues(
        name="on: {weird} ${AWS::Region} \u2028 'name'",
        version="1.0",
        location="swedencentral",
        python="3.12",
        memory_mb=4096,
        auth="entra",
        entra_client_id="00000000-1111-2222-3333-444444444444",
        maximum_instances=1000,
        always_ready=2,
        http_concurrency=4,
        uploads_container="my-data",
        log_retention_days=365,
        environment={"GREETING": 'it\'s: "no" ${1}\n', "COLDPRESS_INPUT_PREFIX": "in/"},
    ),
}

ALIBABA_CASES: Mapping[str, AlibabaValues] = {
    "default": AlibabaValues(name="digits"),
    "uploads": AlibabaValues(name="digits", uploads_bucket="data", minimum_instances=1),
    "endpoint-elsewhere": AlibabaValues(name="digits", internet=True, asked=_ELSEWHERE),
    "anonymous": AlibabaValues(name="digits", auth="anonymous", canary_percent=0, memory_mb=512, cpu=0.35),
    "everything": AlibabaValues(
        name="on: {weird} $AWS \u2028 'name'",
        version="1.0",
        description='Reads "digits" #1: yes',
        region="eu-central-1",
        memory_mb=8192,
        disk_mb=10240,
        timeout_s=600,
        auth="jwt",
        jwks='{"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB", "n": "gy1y805vi", "kid": "one"}]}',
        canary_percent=25,
        minimum_instances=2,
        reserved_concurrency=20,
        internet=True,
        uploads_bucket="my-data",
        environment={"GREETING": 'yes: "no"\n', "LEVEL": "1.0", "COLDPRESS_INPUT_PREFIX": "in/"},
    ),
}

GCP_CASES: Mapping[str, GcpValues] = {
    "default": GcpValues(name="digits"),
    "weights": GcpValues(name="digits", weights=f"gs://models/digits/{_FILE}"),
    "uploads": GcpValues(name="digits", project="my-project", uploads_bucket="my-data", memory_mb=256),
    "batch": GcpValues(
        name="digits",
        project="my-project",
        uploads_bucket="my-data",
        batch=BatchConfig(input="in/", output="out/", memory_mb=8192, timeout_s=3600, concurrency=20),
    ),
    "cloud-run-gpu": GcpValues(name="digits", asked=Asked(kind="cloud-run-gpu", name=_ENDPOINT, region="europe-west1")),
    "vertex": GcpValues(name="digits", asked=Asked(kind="vertex", name=_ENDPOINT, region="europe-west1")),
    "endpoint-elsewhere": GcpValues(name="digits", asked=_ELSEWHERE),
    "public": GcpValues(name="digits", auth="none", canary_percent=100),
    "everything": GcpValues(
        name="on: {weird} ${AWS::Region} \u2028 'name'",
        version="1.0",
        project="my-project",
        region="us-central1",
        python="3.12",
        memory_mb=8192,
        cpu=4,
        timeout_s=3600,
        invokers=("user:ann@example.com", "principalSet://iam.googleapis.com/o'neil/%{x}/*"),
        concurrency=1000,
        min_instances=1,
        max_instances=1000,
        service_account="scorer@my-project.iam.gserviceaccount.com",
        uploads_bucket="my.data_1",
        environment={"GREETING": 'it\'s: "no" ${1} %{x}\n', "COLDPRESS_INPUT_PREFIX": "in/"},
    ),
}

CONTAINER_CASES: Mapping[str, ContainerValues] = {
    "default": ContainerValues(name="digits"),
    "kubernetes": ContainerValues(name="digits", asked=Asked(kind="kubernetes", name=_ENDPOINT)),
    "kserve": ContainerValues(name="digits", asked=Asked(kind="kserve", name=_ENDPOINT)),
    "endpoint-elsewhere": ContainerValues(name="digits", asked=_ELSEWHERE),
    "public": ContainerValues(name="digits", public=True, min_replicas=2, cpu=0.5),
    "everything": ContainerValues(
        name="on: {weird} ${AWS::Region} \u2028 'name'",
        version="1.0+build/7",
        description='Reads "digits" #1: yes',
        python="3.12",
        architecture="arm64",
        image=f"registry.example:5000/team/digits:1@sha256:{'0a' * 32}",
        base="python:3.12-slim-bookworm",
        port=9000,
        cpu=2.0,
        memory_mb=3000,
        timeout_s=600,
        concurrency=16,
        min_replicas=1,
        max_replicas=100,
        environment={"GREETING": 'it\'s: "no" ${1} C:\\x', "LEVEL": "1.0"},
    ),
}

_AWKWARD = "on: {weird} ${AWS::Region} \u2028 'name'"
ENDPOINT_CASES: Mapping[str, EndpointValues] = {
    "sagemaker": EndpointValues(name="digits", kind="sagemaker", target="aws", max_instances=2),
    "sagemaker-async": EndpointValues(name="digits", kind="sagemaker-async", target="aws", waking="queue"),
    "sagemaker-everything": EndpointValues(
        name=_AWKWARD, version="1.0", kind="sagemaker-async", target="aws", instance="ml.g6e.xlarge",
        min_instances=1, max_instances=4, timeout_s=600,
    ),
    "lambda-gpu": EndpointValues(name="digits", kind="lambda-gpu-experimental", target="aws"),
    "cloud-run-gpu": EndpointValues(name="digits", kind="cloud-run-gpu", target="gcp", region="europe-west1"),
    "cloud-run-everything": EndpointValues(
        name=_AWKWARD, version="1.0+build/7", kind="cloud-run-gpu", target="gcp", project="my-project",
        region="us-central1", image="us-central1-docker.pkg.dev/my-project/images/large:1", min_instances=1,
        max_instances=5,
    ),
    "vertex": EndpointValues(name="digits", kind="vertex", target="gcp", region="europe-west1"),
    "vertex-kept": EndpointValues(
        name=_AWKWARD, kind="vertex", target="gcp", region="us-central1", instance="g2-standard-24", min_instances=1,
        max_instances=3,
    ),
    "container-apps-gpu": EndpointValues(
        name="digits", kind="container-apps-gpu", target="azure", region="westeurope"
    ),
    "azure-ml": EndpointValues(name=_AWKWARD, kind="azure-ml", target="azure", region="swedencentral"),
    "kserve": EndpointValues(name="digits", kind="kserve", target="container"),
    "kubernetes": EndpointValues(name="digits", kind="kubernetes", target="container"),
    "kubernetes-cpu": EndpointValues(
        name=_AWKWARD, kind="kubernetes", target="container", gpu=False, max_instances=3,
        image=f"registry.example:5000/team/large:1@sha256:{'0a' * 32}",
    ),
}  # fmt: skip


def endpoint_files(values: EndpointValues) -> dict[str, str]:
    """Return an endpoint's files but the locks, which lie in ``templates/endpoint`` as they are."""
    return {name: text for name, text in render_endpoint(values).items() if not name.endswith(".lock")}


# A target: its cases, and what renders one.
_RENDERED: Mapping[str, tuple[Mapping[str, Any], Callable[[Any], dict[str, str]]]] = {
    "alibaba": (ALIBABA_CASES, render_alibaba),
    "aws": (AWS_CASES, render_aws),
    "azure": (AZURE_CASES, render_azure),
    "container": (CONTAINER_CASES, render_container),
    "endpoint": (ENDPOINT_CASES, endpoint_files),
    "gcp": (GCP_CASES, render_gcp),
}


def sam_files() -> dict[str, str]:
    """Return what of ``sam/`` is generated: the digits example, with its code built by a Makefile."""
    files = render_aws(AwsValues(name="digits"), source="makefile")
    return {name: files[name] for name in ("template.yaml", "samconfig.toml")}


def differences(expected: Path, rendered: Mapping[str, str], *, among: tuple[str, ...] | None = None) -> list[str]:
    """Compare a tree on disk with rendered files; return one line for each that is missing, extra or different.

    ``among`` limits the comparison to these names, for a folder that also holds files of another origin.
    """
    there = {
        path.relative_to(expected).as_posix(): path.read_text(encoding="utf-8")
        for path in expected.rglob("*")
        if path.is_file() and (among is None or path.relative_to(expected).as_posix() in among)
    }
    return [
        *(f"missing: {name} is in {expected} and was not rendered" for name in sorted(there.keys() - rendered.keys())),
        *(f"extra: {name} was rendered and is not in {expected}" for name in sorted(rendered.keys() - there.keys())),
        *(
            _first_difference(name, there[name], rendered[name])
            for name in sorted(there.keys() & rendered.keys())
            if there[name] != rendered[name]
        ),
    ]


def _first_difference(name: str, expected: str, rendered: str) -> str:
    old, new = expected.splitlines(), rendered.splitlines()
    line = next(
        (i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    was, now = ("".join(lines[line : line + 1]) for lines in (old, new))
    return f"different: {name}, line {line + 1}: expected {was!r}, rendered {now!r}"


def main() -> None:
    """Render every kept tree again."""
    from benchmarks import readme  # which reads the contract's tables: the comparisons above need none of that

    for target, (cases, render) in _RENDERED.items():
        shutil.rmtree(TREES / target, ignore_errors=True)
        for case, values in cases.items():
            write_files(render(values), TREES / target / case)
    write_files(sam_files(), SAM)
    readme.main()


if __name__ == "__main__":
    main()
