"""``[fallback]`` of ``coldpress.toml`` as a frozen record: what a function does not answer by itself, and who does."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from coldpress.errors import ConfigError
from coldpress_runtime.errors import ManifestError
from coldpress_runtime.fallback.settings import RULES, read_rule

__all__ = ["ENDPOINTS", "FITTED", "Endpoint", "FallbackConfig", "check_fallback"]

Endpoint = Literal[
    "http",
    "sagemaker",
    "sagemaker-async",
    "cloud-run-gpu",
    "container-apps-gpu",
    "vertex",
    "azure-ml",
    "kserve",
    "kubernetes",
    "lambda-gpu-experimental",
]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
_QUEUING = ("sagemaker-async",)
"""The kinds that keep a request until there is a copy that answers it."""
FITTED = "confidence"
"""The rule whose bound is fitted on the samples."""
_EXAMPLES = '"does-not-fit", "batch > 8", "time > 0.8", "confidence < 0.6", "error" or "canary 5%"'


@dataclass(frozen=True)
class FallbackConfig:
    """``[fallback]``: what goes out to an endpoint, and which endpoint that is.

    ``when`` empty is proposed from the gate's figures, and ``confidence`` alone is fitted on the samples so that at
    most ``max_escalated`` of them go out. ``url`` and ``auth`` are for an endpoint that is there already; ``instance``
    is what the provider calls a machine with a GPU, and ``region`` is the target's own where it has one.
    """

    endpoint: Endpoint = "http"
    url: str = ""
    auth: Literal["none", "bearer", "google", "azure", "aws"] = "none"
    audience: str = ""
    model: Path | None = None  # what the endpoint serves; default: the model, stripped but not encoded
    when: tuple[str, ...] = ()
    waking: Literal["small", "queue", "refuse"] | None = None  # default: small, where there is a small model
    max_escalated: float = field(default=0.2, metadata={"at_least": 0, "at_most": 1})
    output: str = ""  # the output that holds class probabilities; default: the one that can
    deadline_s: float = field(default=30.0, metadata={"at_least": 0.1, "at_most": 3600})
    retries: int = field(default=1, metadata={"at_least": 0, "at_most": 10})
    hedge_after_s: float | None = field(default=None, metadata={"at_least": 0.001})
    concurrency: int = field(default=8, metadata={"at_least": 1, "at_most": 1000})
    allow_private: bool = False
    region: str = ""
    image: str = ""  # the endpoint's image, with its registry; default: one that the deployment makes
    instance: str = ""
    gpu: bool = True  # false: the same endpoint on CPUs, of a Kubernetes or KServe cluster without any
    min_instances: int = field(default=0, metadata={"at_least": 0, "at_most": 100})
    max_instances: int = field(default=1, metadata={"at_least": 1, "at_most": 100})

    @property
    def rendered(self) -> bool:
        """Whether ``pack`` writes an endpoint beside the function."""
        return self.endpoint != "http"

    @property
    def remote(self) -> bool:
        """Whether everything goes out, so that the function has no model of its own."""
        return "does-not-fit" in self.when

    @property
    def while_waking(self) -> str:
        """What is done while the endpoint wakes: ``small``, ``queue`` or ``refuse``."""
        return self.waking or ("refuse" if self.remote else "small")


def check_fallback(fallback: FallbackConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        ConfigError: they do, or a rule is none.
    """
    kinds = [_kind(text) for text in fallback.when]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ConfigError(f"`fallback.when` has two rules of {kind}; keep the one that you mean.")
    if fallback.remote and len(kinds) > 1:
        other = next(text for text, kind in zip(fallback.when, kinds, strict=True) if kind != "does-not-fit")
        raise ConfigError(
            f'`fallback.when` holds "does-not-fit", by which everything goes out, and {other!r}, which decides what '
            "does; keep one of them."
        )
    _check_endpoint(fallback)
    if fallback.waking == "queue" and fallback.endpoint not in _QUEUING:
        raise ConfigError(
            f'`fallback.waking` is "queue" and {fallback.endpoint} keeps no queue; expected the endpoint '
            f'"{_QUEUING[0]}", or waking = "small" or "refuse".'
        )
    if fallback.waking == "small" and fallback.remote:
        raise ConfigError(
            '`fallback.waking` is "small" and with "does-not-fit" there is no small model to answer; '
            'expected waking = "refuse", or "queue" with the endpoint "sagemaker-async".'
        )


def _kind(text: str) -> str:
    """Return the name of a rule; ``confidence`` may go without its bound, which is fitted on the samples then."""
    if text == FITTED:
        return text
    try:
        return read_rule(text, "fallback.when").name
    except ManifestError:
        name = text.partition(" ")[0]
        sign, bound = RULES.get(name) or ("", "")
        form = f"`{name} P%` with {bound}" if sign == "%" else f"`{name} {sign} N` with {bound}"
        wanted = form if bound else f"rules such as {_EXAMPLES}"
        raise ConfigError(f"`fallback.when` holds {text!r}; expected {wanted}.") from None


def _check_endpoint(fallback: FallbackConfig) -> None:
    kind = fallback.endpoint
    if kind == "http":
        if not fallback.url:
            raise ConfigError(
                '`fallback.endpoint` is "http" and `fallback.url` is not there; name the endpoint\'s address, or one '
                f"to be made: {', '.join(ENDPOINTS[1:])}."
            )
        parts = urlsplit(fallback.url)
        if parts.username is not None:  # which is not repeated here: it may be a secret
            raise ConfigError(
                "`fallback.url` holds a user or a password; leave them out, and give a token by the environment "
                'variable COLDPRESS_FALLBACK_TOKEN, with auth = "bearer".'
            )
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ConfigError(
                f"`fallback.url` holds {fallback.url!r}; expected an address alone, such as https://gpu.example."
            )
        if fallback.auth in ("google", "azure") and not fallback.audience:
            raise ConfigError(f'`fallback.auth` is "{fallback.auth}", which needs `audience`, whom tokens are for.')
        return
    for name in ("url", "audience"):
        if getattr(fallback, name):
            raise ConfigError(
                f'`fallback.{name}` is set and `fallback.endpoint` is "{kind}", which pack renders and whose address '
                f'the deployment tells; leave {name} out, or set endpoint = "http".'
            )
    if fallback.auth != "none":
        raise ConfigError(
            f'`fallback.auth` is "{fallback.auth}" and `fallback.endpoint` is "{kind}", which has its own; leave auth '
            'out, or set endpoint = "http".'
        )
    if fallback.min_instances > fallback.max_instances:
        raise ConfigError(
            f"`fallback.min_instances` is {fallback.min_instances} and max_instances only {fallback.max_instances}; "
            "change one of them."
        )
    if not fallback.gpu and kind not in ("kserve", "kubernetes"):
        raise ConfigError(f"`fallback.gpu` is false and {kind} is a machine with a GPU; leave it out.")
