"""One function beside all providers: does it fit, in which size, and what do a month's requests cost."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coldpress.errors import FitError
from coldpress.fit.cost import Load, always_on_cost, break_even, capacity, on_demand_cost
from coldpress.fit.limits import provider
from coldpress.fit.prices import Prices, priced, read_prices
from coldpress.fit.sizes import Sizes
from coldpress.fit.tiers import Tier, smallest_tier, tier
from coldpress.fit.verdict import check_fit

__all__ = ["Cost", "Demand", "Offer", "Subject", "compare", "cost_of", "usual_price"]

NEEDS_CHANGE = "needs-change"
"""The verdict where a setting must change before the function can be there at all."""
_HEADROOM = 1.3  # of memory: what is measured is one process and few requests
_MIB = 1 << 20


@dataclass(frozen=True)
class Subject:
    """What is to be deployed.

    Attributes:
        name: the file's or folder's.
        target: whose runtime it was measured under; None for a model that was run by itself.
        sizes: of the bundle; told from the parts where there is none yet.
        python: the function's minor version.
        architecture: the function's.
        memory_mb: what it was packed for, in MB (2^20 bytes).
        timeout_s: likewise.
        load: how long requests take; ``cold_share`` is not used.
        peak_mb: its largest resident size, in MB (10^6 bytes).
    """

    name: str
    target: str | None
    sizes: Sizes
    python: str
    architecture: str
    memory_mb: int
    timeout_s: int
    load: Load
    peak_mb: float

    @property
    def needed_mb(self) -> float:
        """Return the memory that an instance should have, in MB (2^20 bytes)."""
        return _HEADROOM * self.peak_mb * 1e6 / _MIB

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "name": self.name,
            "measured": self.target is not None,
            "target": self.target,
            "python": self.python,
            "architecture": self.architecture,
            "memory_mb": self.memory_mb,
            "unzipped_bytes": self.sizes.unzipped_bytes,
            "zip_bytes": self.sizes.zip_bytes,
            "init_ms": self.load.init_ms,
            "first_ms": self.load.first_ms,
            "warm_ms": self.load.warm_ms,
            "peak_mb": self.peak_mb,
        }


@dataclass(frozen=True)
class Demand:
    """What callers ask for in a month, and whether the free quantities are still there."""

    requests: int = 1_000_000
    cold_share: float = 0.01
    free: bool = False


@dataclass(frozen=True)
class Cost:
    """A month's bills in one currency.

    Attributes:
        monthly: for instances that come and go.
        per_million: of that, a million requests.
        always_on: for instances that never go.
        break_even: the requests a month from which one of those costs no more; None where none does.
        capacity: the requests a month that one of those is for.
    """

    monthly: float
    per_million: float
    always_on: float
    break_even: int | None
    capacity: int

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return dict(vars(self))


@dataclass(frozen=True)
class Offer:
    """One provider's row.

    Attributes:
        measured: whether times are of this provider's own runtime.
        verdict: ``fits``, ``needs-store``, ``needs-image``, ``needs-gpu``, or ``needs-change`` of a setting.
        needs: what it would take, or what is worth knowing, one sentence each.
        tier: the size of instance; None where none has the memory.
        load: how long requests take there.
        prices: None where a host, and no function platform, sends the bill.
    """

    target: str
    title: str
    measured: bool
    verdict: str
    needs: tuple[str, ...]
    tier: Tier | None
    load: Load | None
    prices: Prices | None
    cost: Cost | None

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        load = self.load
        return {
            "provider": self.target,
            "title": self.title,
            "measured": self.measured,
            "verdict": self.verdict,
            "needs": list(self.needs),
            "memory_mb": self.tier and self.tier.memory_mb,
            "vcpus": self.tier and round(self.tier.vcpus, 3),
            "cold_ms": load and round(load.init_ms + load.first_ms, 3),
            "warm_ms": load and round(load.warm_ms, 3),
            "cost": self.cost and self.cost.to_json(),
            "prices": self.prices and self.prices.to_json(),
        }


def compare(
    subjects: Sequence[Subject],
    targets: Iterable[str],
    demand: Demand,
    *,
    memory_mb: int | None = None,
    override: Path | None = None,
) -> tuple[Offer, ...]:
    """Hold a function against what providers allow, sell and charge.

    Args:
        subjects: the function, built for one target or several; where it is not built for one, the first counts.
        targets: tables of ``limits.toml``.
        demand: what callers ask for.
        memory_mb: take exactly this size; None takes what the function was packed for, or the next size that is sold
            and has the memory that was seen to be needed.
        override: a file of prices.

    Raises:
        FitError: a target, a size or the file of prices is not known.
    """
    built = {subject.target: subject for subject in reversed(subjects)}
    return tuple(_offer(built.get(name, subjects[0]), name, demand, memory_mb, override) for name in targets)


def _offer(subject: Subject, target: str, demand: Demand, memory_mb: int | None, override: Path | None) -> Offer:
    there, measured = provider(target), subject.target == target
    least = max(subject.memory_mb, subject.needed_mb)
    size = tier(target, memory_mb) if memory_mb else smallest_tier(target, least)
    verdict, needs = _fit(subject, target, size.memory_mb if size else there.limits["memory_mb"].limit)
    if size is None:
        return Offer(target, there.title, measured, verdict, needs, None, None, None, None)
    prices = read_prices(target, subject.architecture, override) if target in priced() else None
    load = replace(subject.load, cold_share=demand.cold_share)
    cost = None if prices is None else cost_of(prices, size, load, demand)
    return Offer(target, there.title, measured, verdict, needs, size, load.on(size), prices, cost)


def cost_of(prices: Prices, size: Tier, load: Load, demand: Demand) -> Cost:
    """Return what a demand costs at one provider, in one size."""
    monthly = on_demand_cost(prices, size, load, demand.requests, free=demand.free)
    return Cost(
        monthly=monthly,
        per_million=monthly * 1e6 / demand.requests,
        always_on=always_on_cost(prices, size, load, demand.requests),
        break_even=break_even(prices, size, load, free=demand.free),
        capacity=capacity(size, load),
    )


def usual_price(target: str, architecture: str, memory_mb: int, load: Load) -> dict[str, Any] | None:
    """Return what a million requests a month cost, as reports hold it; None where no platform sends the bill."""
    size = smallest_tier(target, memory_mb)
    if size is None or target not in priced():
        return None
    prices, demand = read_prices(target, architecture), Demand()
    cost = cost_of(prices, size, replace(load, cold_share=demand.cold_share), demand)
    return {
        "per_million": cost.per_million,
        "currency": prices.currency,
        "region": prices.region,
        "memory_mb": size.memory_mb,
        "as_of": prices.as_of.isoformat(),
    }


def _fit(subject: Subject, target: str, memory_mb: int) -> tuple[str, tuple[str, ...]]:
    """Ask for the verdict; for another target than its own the function is packed anew, for a Python that is there."""
    there = provider(target).python
    python = subject.python if target == subject.target or subject.python in there else there[-1]
    try:
        fit = check_fit(
            target,
            subject.sizes,
            python=python,
            architecture=subject.architecture,
            memory_mb=memory_mb,
            timeout_s=subject.timeout_s,
            peak_mb=subject.peak_mb * 1e6 / _MIB,
            init_ms=subject.load.init_ms,
        )
    except FitError as error:
        return NEEDS_CHANGE, (str(error),)
    return fit.verdict, fit.advice
