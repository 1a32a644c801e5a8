"""The packages of a function beside the runtime: its target's, the door's, those of uploads, and what hooks import."""

import hashlib

from coldpress.bundle.fallback import fallback_wheels
from coldpress.bundle.swap import fresh_file
from coldpress.bundle.wheels import Wheel, lock_text, resolve
from coldpress.cache import cache_dir
from coldpress.config import BatchConfig
from coldpress.console import progress
from coldpress.fallback.record import auth_of
from coldpress.plan import Plan
from coldpress.targets import TARGETS

__all__ = ["packages_of"]


def packages_of(plan: Plan, batch: BatchConfig | None) -> tuple[Wheel, ...]:
    """Return the wheels that a function of ``plan`` brings.

    What the hooks import is resolved once, and the very same files are taken from then on: a newer release must not
    change a bundle unasked. What the target itself needs comes first, and hooks use it too.

    Args:
        plan: What is packed.
        batch: The settings of scoring uploads, where this function does that.

    Raises:
        ResolveError: Something cannot be had for the function's Python and architecture.
    """
    own = TARGETS[plan.target].packages(plan.python, plan.architecture, cache_dir("wheels"), batch)
    if plan.fallback is not None:
        asking = fallback_wheels(
            auth_of(plan.fallback), plan.target, plan.python, plan.architecture, cache_dir("wheels")
        )
        own = tuple({wheel.name: wheel for wheel in (*asking, *own)}.values())
    if not plan.requirements:
        return own
    requirements = (*sorted(plan.requirements), *(f"{wheel.name}=={wheel.version}" for wheel in own))
    wanted = "\n".join((*requirements, plan.python, plan.architecture))
    lock = cache_dir("locks") / f"{hashlib.sha256(wanted.encode()).hexdigest()}.txt"
    text = lock.read_text() if lock.is_file() else None
    with progress("resolve what the hooks import"):
        packages = resolve(requirements, plan.python, plan.architecture, cache_dir("wheels"), text)
    if text is None:
        with fresh_file(lock) as new:
            new.write_text(lock_text(packages))
    pinned = {wheel.name: wheel for wheel in own}
    return tuple(pinned.get(wheel.name, wheel) for wheel in packages)
