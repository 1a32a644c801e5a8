"""The step of ``pack`` that looks at the endpoint: what goes out to it, which model it serves, what is said of it."""

from pathlib import Path

from coldpress.contract import payload_bytes
from coldpress.fallback.decide import Decision, Question, decide
from coldpress.fallback.endpoint import FOLDER
from coldpress.fallback_config import FallbackConfig
from coldpress.machine import own_library, runs_here
from coldpress.plan import Plan
from coldpress.render.endpoint.costs import cost_sentences
from coldpress.search.shrink_file import ShrunkFile

__all__ = ["decide_for", "fallback_notes", "served_model"]


def decide_for(fallback: FallbackConfig, plan: Plan, found: ShrunkFile, over: str = "") -> Decision:
    """Decide what goes out to the endpoint; ``over`` says why the function has no room for a model."""
    reference, task, shrunk = found.inputs.reference, plan.shrink, found.shrunk
    chosen = next((each["verdict"] for each in shrunk.record["candidates"] if each["chosen"]), None)
    return decide(
        fallback,
        Question(
            small=shrunk.path,
            large=served_model(plan, found),
            exact=shrunk.exact and plan.large == plan.model,
            signature=reference.signature,
            samples=found.inputs.samples if task.evaluation is not None else None,
            metric=task.metric,
            max_drop=task.max_drop,
            library=found.engine.path if runs_here(found.engine.path) else own_library(),
            target=plan.target,
            architecture=plan.architecture,
            memory_mb=plan.memory_mb,
            timeout_s=plan.timeout_s,
            threads=plan.threads,
            request_bytes=payload_bytes(plan),
            warm_ms=chosen["warm_ms"] if chosen else None,
            over=over,
        ),
    )


def served_model(plan: Plan, found: ShrunkFile) -> Path:
    """The endpoint's model: as it was before anything of it was lost, or another one that is named."""
    return found.stripped.path if plan.large == plan.model else plan.large


def fallback_notes(plan: Plan, decision: Decision | None) -> tuple[str, ...]:
    """Tell what goes out, where to, and what that costs."""
    if decision is None or plan.fallback is None:
        return ()
    if plan.endpoint is None:
        return (*decision.notes, f"The endpoint is {plan.fallback.url}.")
    where = f"The endpoint is {plan.endpoint.endpoint} ({plan.endpoint.kind}), in {plan.out / FOLDER}: deploy it first."
    return (*decision.notes, where, *cost_sentences(plan.endpoint))
