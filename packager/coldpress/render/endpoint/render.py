"""The files of an endpoint's folder, as text by their path: all but the model and the server's own code."""

import json
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.render.bicep import bicep_text
from coldpress.render.dns import dns_name
from coldpress.render.endpoint.costs import cost_sentences
from coldpress.render.endpoint.values import EndpointValues, online_name
from coldpress.render.template import Template, quote, slug

__all__ = ["render_endpoint"]

_BASES = {
    "gpu": "docker.io/nvidia/cuda:13.0.1-cudnn-runtime-ubuntu24.04",
    "cpu": "docker.io/library/python:3.12-slim-trixie",
}
"""Images with Python 3.12, for which the locks are made."""
_LOCKS = {"gpu": "requirements.lock", "cpu": "requirements-cpu.lock"}
_DOCKERFILES = {"gpu": "Dockerfile", "cpu": "Dockerfile.cpu"}
_CONCURRENCY = 32  # requests at a time in one copy, which runs them together
_DRAIN_S = 5  # what a preStop hook waits
_LABEL_CHARACTERS = 63
_TAG_CHARACTERS = 256
_LONGEST_S = {"sagemaker": 60, "azure-ml": 180, "lambda-gpu-experimental": 900}
"""What an answer may take where the provider has less than an hour."""
_FILES: Mapping[str, Mapping[str, str]] = {
    "sagemaker": {"template.yaml": "the stack", "deploy.sh": "builds the image and deploys the stack"},
    "cloud-run-gpu": {
        "deploy.sh": "builds the image and makes the service",
        "service.yaml": "the service, declared",
        "main.tf": "the same for Terraform",
    },
    "vertex": {
        "deploy.sh": "builds the image, uploads the model and deploys it",
        "model.json": "the image, as Vertex AI is told of it",
        "endpoint.json": "the endpoint",
        "deployment.json": "the machines",
    },
    "container-apps-gpu": {"main.bicep": "the resources", "deploy.sh": "builds the image and makes them"},
    "azure-ml": {"main.bicep": "the resources", "deploy.sh": "builds the image and makes them"},
    "kserve": {"endpoint.yaml": "the InferenceService"},
    "kubernetes": {"endpoint.yaml": "a Deployment with all around it"},
    "lambda-gpu-experimental": {"template.yaml": "the stack", "deploy.sh": "builds the image and deploys the stack"},
}


def render_endpoint(values: EndpointValues) -> dict[str, str]:
    """Return the files of the endpoint's folder.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    folder = "sagemaker" if values.kind == "sagemaker-async" else values.kind
    holes = _holes(values)

    def piece(name: str, **pieces: str) -> str:
        return Template(template_root() / "endpoint", holes).fill(name, **pieces).rstrip("\n")

    own = _pieces(values, piece)
    whole = Template(template_root() / "endpoint", holes | own)
    # Lambda's and SageMaker's images take the same way into ECR.
    scripts = {"deploy.sh": "sagemaker/deploy.sh"} if folder == "lambda-gpu-experimental" else {}
    files = {name: whole.fill(scripts.get(name, f"{folder}/{name}")) for name in _FILES[folder]}
    steps = whole.fill("sagemaker/async.md" if values.kind == "sagemaker-async" else f"{folder}/README.md").rstrip("\n")
    images = {_DOCKERFILES[kind]: _dockerfile(whole, kind) for kind in _BASES}
    locks = {name: whole.fill(f"requirements-{kind}.txt") for kind, name in _LOCKS.items()}
    listed = "\n".join(f"| `{name}` | {what} |" for name, what in _FILES[folder].items())
    costs = " ".join(cost_sentences(values))
    readme = whole.fill("README.md", steps=steps, files=listed, costs=costs)
    return {**files, **images, ".dockerignore": whole.fill("dockerignore"), **locks, "README.md": readme}


def _dockerfile(template: Template, kind: str) -> str:
    other = _DOCKERFILES[kind]
    return template.fill(
        "Dockerfile",
        base=_BASES[kind],
        base_words="a GPU" if kind == "gpu" else "CPUs alone",
        dockerfile_flag="" if kind == "gpu" else f"--file {other} ",
        system=template.fill(f"image/{kind}.dockerfile").rstrip("\n"),
        lock=_LOCKS[kind],
        providers="tensorrt,cuda,cpu" if kind == "gpu" else "cpu",
    )


def _pieces(values: EndpointValues, piece: Callable[..., str]) -> dict[str, str]:
    """Return what is chosen by more than a word."""
    queued = values.kind == "sagemaker-async"
    clustered = values.kind in ("kserve", "kubernetes") and values.gpu
    tolerations = piece("tolerations.yaml") if clustered else ""
    if values.kind == "kserve":  # two levels further out
        tolerations = re.sub(r"(?m)^  ", "", tolerations)
    return {
        "adapter": piece("image/lambda.dockerfile") if values.kind == "lambda-gpu-experimental" else "",
        "async_config": piece("sagemaker/async_config.yaml") if queued else "",
        "async_outputs": piece("sagemaker/async_outputs.yaml") if queued else "",
        "async_resources": piece("sagemaker/async_resources.yaml") if queued else "",
        "policies": piece(f"sagemaker/{'async' if queued else 'realtime'}_policies.yaml"),
        "role_statements": piece("sagemaker/async_statements.yaml") if queued else "",
        "tolerations": tolerations,
    }


def _holes(values: EndpointValues) -> dict[str, str]:
    """Return what fills the holes of all kinds' files together, each in the spelling of its place."""
    machine, queued = values.machine, values.kind == "sagemaker-async"
    experimental = values.kind == "lambda-gpu-experimental"
    instance = values.instance or machine.instance
    timeout_s = min(values.timeout_s, _LONGEST_S.get(values.kind, 3600))
    title = "".join(c for c in " ".join(values.name.replace("`", "'").split()) if c.isprintable())
    tag = values.image.partition("@")[0] or f"{values.endpoint}:{_tag(values.version)}"
    project = values.project or "PROJECT"
    built = f"{values.region}-docker.pkg.dev/{project}/coldpress/{values.endpoint}:{_tag(values.version)}"
    to_zero = ',\n      "scaleToZeroSpec": {"minScaleupPeriod": "300s", "idleScaledownPeriod": "1800s"}'
    return {
        "accelerators": {"24": "2", "48": "4", "96": "8"}.get(instance.rpartition("-")[2], "1"),  # of a g2 machine
        "account": f"{values.endpoint.removesuffix('-endpoint')}-gpu",  # of Google's, of at most 30 characters,
        "concurrency": str(_CONCURRENCY),
        "cpu": str(machine.cpu),
        "description": quote(f"A large model behind a function, by coldpress: {values.endpoint}"),
        "drain_s": str(timeout_s),
        "endpoint": values.endpoint,
        "file_flag": "" if values.gpu else " --file Dockerfile.cpu",
        "function": dns_name(values.name),
        "gpu_resource": ', nvidia.com/gpu: "1"' if values.gpu else "",
        "gpu_words": " with GPUs" if values.gpu else "",
        "grace_s": str(timeout_s + _DRAIN_S + 5),
        "group": f"coldpress-{slug(values.name.lower(), 30)}",
        "image": values.image or (built if values.kind == "cloud-run-gpu" else tag),
        "image_in_shell": values.image or built.replace(f"/{project}/", "/$PROJECT/"),
        "initial": str(max(1, values.least)),
        "instance": instance,
        "least": str(values.least),
        "location": values.region,
        "max_instances": str(values.max_instances),
        "memory_gb": str(machine.memory_gb),
        "memory_mb": str(machine.memory_gb * 1024),
        "min_instances": str(values.min_instances),
        "mode_words": "asynchronous: none while nobody asks" if queued else "which answers in real time",
        "model_label": re.sub(r"[^a-z0-9_-]", "-", values.name.lower())[:_LABEL_CHARACTERS],
        "model_tag": bicep_text(values.name[:_TAG_CHARACTERS]),
        "name_in_path": quote_url(values.name, safe=""),
        "overrides": ' "VpcId=${VPC:?}" "SubnetIds=${SUBNETS:?}"' if experimental else "",
        "project": values.project or "$(gcloud config get-value project)",
        "project_default": f"  default     = {json.dumps(values.project)}" if values.project else "",
        "project_of_yaml": project,
        "pull": "IfNotPresent" if "@" in values.image else "Always",
        "region": values.region,
        "role_words": ",\n  # read requests and write answers below one prefix each" if queued else "",
        "short": online_name(values.name),
        "slug": slug(values.name.lower(), 30),
        "tag": tag,
        "timeout_s": str(timeout_s),
        "title": title,
        "to_zero": to_zero if values.kind == "vertex" and not values.min_instances else "",
        "zero_words": "While nobody asks there is no machine: the first request waits minutes, or is told so."
        if not values.min_instances
        else "",
    }


def _tag(version: str) -> str:
    return re.sub(r"[^0-9A-Za-z_.-]", "-", version).lstrip(".-")[:128] or "1"
