"""``fallback`` of ``coldpress.json``: the settings, the rules that were decided, and the model's signature."""

from collections.abc import Sequence
from typing import Any

from coldpress.fallback_config import FallbackConfig
from coldpress.signature import Port, Signature

__all__ = ["auth_of", "fallback_record"]

# How the function asks each kind of endpoint that pack renders, and how it proves who it is.
_ASKED = {
    "sagemaker": ("sagemaker", "aws"),
    "sagemaker-async": ("sagemaker-async", "aws"),
    "vertex": ("vertex", "google"),
    "azure-ml": ("azure-ml", "azure"),
    "cloud-run-gpu": ("http", "google"),
    "container-apps-gpu": ("http", "azure"),
    "kserve": ("http", "none"),
    "kubernetes": ("http", "none"),
    "lambda-gpu-experimental": ("http", "aws"),
}
_INSIDE = ("kserve", "kubernetes")  # their addresses are the cluster's own
_CONNECT_S = 2.0
_BREAKER = {"failures": 5, "window_s": 30.0, "open_s": 10.0}


def auth_of(fallback: FallbackConfig) -> str:
    """Return how the function proves who it is, as the manifest has it."""
    return _ASKED[fallback.endpoint][1] if fallback.rendered else fallback.auth


def fallback_record(
    fallback: FallbackConfig, when: Sequence[str], output: str | None, signature: Signature, answer_bytes: int
) -> dict[str, Any]:
    """Return what the manifest says of an endpoint.

    Args:
        fallback: the settings.
        when: the rules, each with its bound.
        output: the output that holds the probabilities of classes; None: the one that can.
        signature: of the model.
        answer_bytes: what an answer may have.
    """
    kind = _ASKED[fallback.endpoint][0] if fallback.rendered else "http"
    return {
        "endpoint": {
            "kind": kind,
            "url": fallback.url.rstrip("/"),
            "name": "",
            "region": fallback.region if fallback.auth == "aws" else "",
            "auth": auth_of(fallback),
            "audience": fallback.audience,
            "output": "",
            "allow_private": fallback.allow_private or fallback.endpoint in _INSIDE,
        },
        "when": list(when),
        "deadline_s": fallback.deadline_s,
        "connect_s": min(_CONNECT_S, fallback.deadline_s),
        "retries": fallback.retries,
        "hedge_after_s": fallback.hedge_after_s,
        "concurrency": fallback.concurrency,
        "answer_bytes": answer_bytes,
        "breaker": dict(_BREAKER),
        "waking": fallback.while_waking,
        "output": output,
        "inputs": [_value(port) for port in signature.inputs],
        "outputs": [_value(port) for port in signature.outputs],
    }


def _value(port: Port) -> dict[str, Any]:
    """Return a port as the protocol carries it, where sequences and maps are texts."""
    return {"name": port.name, "datatype": port.datatype or "BYTES", "shape": list(port.shape or ())}
