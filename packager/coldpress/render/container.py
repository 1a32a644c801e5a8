"""``templates/container`` filled in: an image, and what runs it on Docker, Kubernetes, Knative and KServe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote as quote_url

from coldpress._resources import template_root
from coldpress.config import Config
from coldpress.errors import TemplateError
from coldpress.render.container_fallback import fallback_pieces
from coldpress.render.dns import dns_name
from coldpress.render.fallback import Asked, asked, readme_pieces
from coldpress.render.template import Template, quote, slug

__all__ = ["COMMAND", "ContainerValues", "container_values", "render_container"]

COMMAND = (
    *(
        "python",
        "-S",
        "-m",
        "uvicorn",
        "server:app",
        "--http",
        "coldpress_runtime.http_protocol:Protocol",
        "--loop",
        "asyncio",
    ),
    *("--ws", "none", "--lifespan", "off", "--no-access-log", "--no-proxy-headers", "--no-server-header"),
    *("--log-level", "warning"),
    *("--timeout-keep-alive", "620"),  # longer than load balancers keep a connection: Google's for 600 seconds
)
"""What the image runs in the folder of the function; ``UVICORN_HOST`` and ``UVICORN_PORT`` say where it listens."""

_MACHINES = {"x86_64": "amd64", "arm64": "arm64"}
_DRAIN_S = 5  # what the Deployment's preStop hook waits
_LABEL_CHARACTERS = 63
# The reference of an image: [host[:port]/]path[:tag][@digest], as the Open Containers distribution spec has it.
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]+)?/"
_IMAGE = re.compile(
    rf"(?:{_HOST})?{_PART}(?:/{_PART})*(?P<tag>:\w[\w.-]{{0,127}})?(?P<digest>@sha256:[0-9a-f]{{64}})?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class ContainerValues:
    """What one image and its deployments need to know, checked when they are made.

    Attributes:
        name: the model's name, any text.
        version: the model's version, any text.
        description: what the function does; empty: made from name and version.
        python: the function's Python, such as ``"3.13"``.
        architecture: ``"x86_64"`` or ``"arm64"``.
        image: what the image is called, with its registry; empty: made from name and version.
        base: the image that it is built on, which has ``python`` of that version; empty: Docker's own slim one.
        port: where it listens, above 1023: it is not root.
        cpu: CPUs of one copy, 0.1 to 64.
        memory_mb: memory of one copy in MB of 2^20 bytes, 64 to 1,048,576.
        timeout_s: how long an answer may take, 1 to 600: what Knative allows unless it is told otherwise.
        concurrency: requests at a time in one copy, 1 to 1,000; one more is told 429.
        min_replicas: copies that are kept when nobody calls; 0 on Knative and KServe, the Deployment has one.
        max_replicas: copies at most.
        public: let callers from outside the cluster in, whoever they are.
        environment: variables for the function.
        asked: the endpoint that some requests go out to; ``None``: none does.

    Raises:
        TemplateError: a value that Docker or Kubernetes would refuse.
    """

    name: str
    version: str = "1"
    description: str = ""
    python: str = "3.13"
    architecture: str = "x86_64"
    image: str = ""
    base: str = ""
    port: int = 8080
    cpu: float = 1.0
    memory_mb: int = 1024
    timeout_s: int = 30
    concurrency: int = 80
    min_replicas: int = 0
    max_replicas: int = 10
    public: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    asked: Asked | None = None

    def __post_init__(self) -> None:
        """Refuse what a build or a cluster would only refuse later."""
        if self.architecture not in _MACHINES:
            raise TemplateError(f"architecture is {self.architecture!r}; expected one of {', '.join(_MACHINES)}")
        if not re.fullmatch(r"3\.[0-9]+", self.python):
            raise TemplateError(f"python is {self.python!r}; expected a minor version such as '3.13'")
        for what, low, high in (
            ("port", 1024, 65_535),
            ("cpu", 0.1, 64),
            ("memory_mb", 64, 1 << 20),
            ("timeout_s", 1, 600),
            ("concurrency", 1, 1000),
            ("min_replicas", 0, 1000),
            ("max_replicas", 1, 1000),
        ):
            value = getattr(self, what)
            if not low <= value <= high:
                raise TemplateError(f"{what} is {value}; expected {low} to {high}")
        if self.min_replicas > self.max_replicas:
            raise TemplateError(
                f"min_replicas is {self.min_replicas} and max_replicas only {self.max_replicas}: change one of them"
            )
        for what, image in (("image", self.image), ("base", self.base)):
            _check_image(what, image)
        for name, value in self.environment.items():
            if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name):
                raise TemplateError(f"{name!r} cannot name a variable of a container: use letters, digits and _")
            if name.startswith(("UVICORN_", "COLDPRESS_")):
                raise TemplateError(f"{name} is set by coldpress: change `port` or `concurrency`, or use another name")
            if not value.isprintable():
                raise TemplateError(
                    f"{name} holds a line break or a control character, which a Dockerfile cannot write"
                )


def container_values(config: Config, name: str) -> ContainerValues:
    """Gather what the templates need from the settings."""
    function, container = config.function, config.targets.container
    return ContainerValues(
        name=name,
        version=config.model.version,
        description=config.model.description,
        python=function.python,
        architecture=function.architecture,
        image=container.image,
        base=container.base,
        port=container.port,
        cpu=container.cpu,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        concurrency=container.concurrency,
        min_replicas=container.min_replicas,
        max_replicas=container.max_replicas,
        public=container.public,
        environment=function.environment,
        asked=asked(config, name, "container"),
    )


def render_container(values: ContainerValues) -> dict[str, str]:
    """Return the files beside ``function/`` as text by their path.

    Raises:
        TemplateError: the templates and this module do not match.
    """
    template = Template(template_root() / "container", _holes(values))

    def piece(name: str, **pieces: str) -> str:
        return template.fill(name, **pieces).rstrip("\n")

    reach = "public" if values.public else "cluster"
    hidden = "" if values.public else "    networking.{}/visibility: cluster-local # no address outside of the cluster"
    fallback = fallback_pieces(values.asked, piece)
    files = {
        "Dockerfile": template.fill("Dockerfile", **fallback["Dockerfile"]),
        ".dockerignore": template.fill("dockerignore"),
        "compose.yaml": template.fill("compose.yaml"),
        "README.md": template.fill("README.md", who=_WHO[reach], **readme_pieces(values.asked)),
        "kubernetes/deployment.yaml": template.fill(
            "kubernetes/deployment.yaml",
            callers=piece(f"optional/callers-{reach}.yaml"),
            **fallback["kubernetes/deployment.yaml"],
        ),
        "kubernetes/knative.yaml": template.fill(
            "kubernetes/knative.yaml", visibility=hidden.format("knative.dev"), **fallback["kubernetes/knative.yaml"]
        ),
        "kubernetes/kserve.yaml": template.fill(
            "kubernetes/kserve.yaml", visibility=hidden.format("kserve.io"), **fallback["kubernetes/kserve.yaml"]
        ),
    }
    template.close()
    return files


_WHO = {
    "cluster": "As rendered here, those are callers inside of the cluster: on\n"
    "Kubernetes pods with the label that the NetworkPolicy names, on Knative and KServe every pod. Put a gateway that\n"
    "knows your callers in front of it before you let in anybody else.",
    "public": "With `public = true` in coldpress.toml that is\n"
    "everybody: put a gateway that knows your callers in front of it.",
}


def _holes(values: ContainerValues) -> dict[str, str]:
    """Return what fills the holes of all the files together, each in the spelling of its place."""
    described = _line(values.description) or f"{_line(values.name)} {_line(values.version)}, packed by coldpress"
    label = slug(values.version, _LABEL_CHARACTERS) if not _is_label(values.version) else values.version
    name = dns_name(values.name)
    cpu = f"{values.cpu:g}" if values.cpu == int(values.cpu) else f"{round(values.cpu * 1000)}m"
    image = values.image or f"{name}:{re.sub(r'[^0-9A-Za-z_.-]', '-', values.version).lstrip('.-')[:128] or '1'}"
    command = (*COMMAND, "--timeout-graceful-shutdown", str(values.timeout_s))
    return {
        "base": values.base or f"docker.io/library/python:{values.python}-slim-trixie",
        "command": ", ".join(f'"{word}"' for word in command),
        "concurrency": str(values.concurrency),
        "cpu": f"{values.cpu:g}",
        "cpu_quoted": quote(cpu),
        "description": described,
        "environment": "\n".join(f"    {key}={_word(text)} \\" for key, text in values.environment.items()),
        "grace_s": str(values.timeout_s + _DRAIN_S + 5),
        "image": image,
        "label_description": _word(described),
        "label_safe_version": quote(label),
        "label_title": _word(_line(values.name)),
        "label_version": _word(_line(values.version)),
        "max_replicas": str(values.max_replicas),
        "memory_mb": str(values.memory_mb),
        "min_replicas": str(values.min_replicas),
        "name_in_path": quote_url(values.name, safe=""),
        "node_architecture": _MACHINES[values.architecture],
        "platform": f"linux/{_MACHINES[values.architecture]}",
        "pod_min": str(max(1, values.min_replicas)),
        "port": str(values.port),
        "pull": "IfNotPresent" if "@" in image else "Always",
        "slug": name,
        "tag": image.partition("@")[0],  # a digest is what a push gives an image, not what a build may call it
        "timeout_s": str(values.timeout_s),
        "title": _line(values.name).replace("`", "'"),
    }


def _check_image(what: str, image: str) -> None:
    if image and not _IMAGE.fullmatch(image):
        raise TemplateError(
            f"{what} is {image!r}; expected an image's name in lower case, such as 'registry.example/team/digits:1' or "
            "one with '@sha256:...' behind it"
        )


def _is_label(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", text))


def _line(text: str) -> str:
    """Return ``text`` on one line, for comments and labels."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _word(text: str) -> str:
    """Return ``text`` as a quoted word of a Dockerfile, in which nothing is replaced."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
