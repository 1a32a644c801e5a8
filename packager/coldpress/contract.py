"""``coldpress.json`` as a plan asks for it: the contract between what packs and what runs."""

from collections.abc import Mapping
from typing import Any

from coldpress.bundle.wheels import Engine
from coldpress.config import BatchConfig
from coldpress.fit.limits import Limit, provider
from coldpress.forms.choose import Choice
from coldpress.plan import Plan
from coldpress.weights import weights_record
from coldpress_runtime.manifest import Manifest

__all__ = ["batch_record", "door_manifest", "limits", "manifest", "payload_bytes", "snapstart"]


def limits(plan: Plan) -> Mapping[str, Limit]:
    """Return the provider's limits by name."""
    return provider(plan.target, snapstart=snapstart(plan)).limits


def snapstart(plan: Plan) -> bool:
    """Tell whether the function starts from a snapshot."""
    return bool(getattr(plan.values, "snapstart", False))  # AWS alone has it


def batch_record(batch: BatchConfig | None) -> dict[str, Any] | None:
    """Return what the manifest says of uploads that are scored row by row."""
    if batch is None:
        return None
    names = ("input", "output", "format", "columns", "outputs", "max_rejects")
    return {name: getattr(batch, name) for name in names}


def manifest(
    plan: Plan,
    engine: Engine,
    choice: Choice,
    warmup: Mapping[str, Any],
    batch: BatchConfig | None,
    fallback: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make ``coldpress.json`` and read it as the runtime will, so that what cannot work is found here.

    Raises:
        ManifestError: the runtime would refuse it.
    """
    document = {
        **_common(plan, batch, fallback),
        "engine": {"library": f"lib/{engine.path.name}", "version": engine.version, "sha256": engine.sha256},
        "model": choice.model,
        "portable": choice.portable,
        "warmup": warmup,
        "weights": weights_record(plan.weights, choice) if plan.weights else None,
    }
    return Manifest.parse(document).to_dict()


def door_manifest(plan: Plan, fallback: Mapping[str, Any]) -> dict[str, Any]:
    """Make ``coldpress.json`` of a function without a model, whose requests all go out.

    Raises:
        ManifestError: the runtime would refuse it.
    """
    absent = ("engine", "model", "portable", "warmup", "weights")
    return Manifest.parse(_common(plan, None, fallback) | dict.fromkeys(absent)).to_dict()


def payload_bytes(plan: Plan) -> int:
    """Return what a request, and an answer, may have at the provider."""
    return int(limits(plan)["request_bytes"].limit)


def _common(plan: Plan, batch: BatchConfig | None, fallback: Mapping[str, Any] | None) -> dict[str, Any]:
    most = payload_bytes(plan)
    return {
        "format": 1,
        "name": plan.name,
        "version": plan.version,
        "threads": plan.threads,
        "hooks": "hooks.py" if plan.hooks else None,
        "limits": {"request_bytes": most, "response_bytes": most},
        "function": {"memory_mb": plan.memory_mb, "timeout_s": plan.timeout_s},
        "batch": batch_record(batch),
        "fallback": fallback,
    }
