"""What requests cost: an instance that comes and goes, one that is always on, and from when the second is cheaper.

A month has 730 hours. Times are those of one thread on a whole CPU; on a share of one they take as much longer.
Formulas hold for requests that come at random at a steady rate, and leave out what no model changes: gateways, traffic,
storage, logs, taxes, discounts for volume or commitment.
"""

import math
from dataclasses import dataclass

from coldpress.fit.prices import Prices
from coldpress.fit.tiers import Tier

__all__ = [
    "MONTH_S",
    "Load",
    "always_on_cost",
    "billed_ms",
    "break_even",
    "capacity",
    "monthly_answers",
    "on_demand_cost",
]

MONTH_S = 730 * 3600
_MILLION = 1_000_000
_BUSIEST = 0.8
"""Of the time that one instance may be kept busy: requests come at random, and wait for each other at a busier one."""


@dataclass(frozen=True)
class Load:
    """How long requests keep an instance busy, in milliseconds.

    Attributes:
        warm_ms: a request to an instance that has answered before.
        first_ms: the first request to a new one, once it is loaded.
        init_ms: to load a new one.
        cold_share: of requests, those that need a new instance.
    """

    warm_ms: float
    first_ms: float
    init_ms: float
    cold_share: float = 0.0

    def on(self, tier: Tier) -> "Load":
        """Return the load on a size of instance: a share of a CPU takes longer, more than one is no quicker."""
        share = min(1.0, tier.vcpus)
        return Load(self.warm_ms / share, self.first_ms / share, self.init_ms / share, self.cold_share)

    def warm(self) -> "Load":
        """Return the same requests to an instance that is always on."""
        return Load(self.warm_ms, self.first_ms, self.init_ms)


def billed_ms(prices: Prices, ms: float) -> float:
    """Return what is billed of one stretch of time: ``max(least, ms)`` rounded up to the provider's step.

    Lambda and Function Compute round up to 1 ms, Cloud Run to 100 ms, Flex Consumption to 100 ms and 1,000 ms at least:
    ``billing`` of ``prices.toml``, each with its source.
    """
    step = prices["billing.step_ms"] or 1.0
    least = max(prices["billing.least_ms"], ms)
    return math.ceil(round(least / step, 9)) * step


def active_seconds(prices: Prices, load: Load, requests: float) -> float:
    """Return the billed seconds of a month's requests.

    A request alone is billed ``b = (1 - c) * billed(warm) + c * billed(first + init)``, the ``c`` of them that start
    cold with their loading, where the provider bills that (Lambda since 2025-08-01, Cloud Run; not Flex Consumption,
    nor Function Compute's built-in runtimes). Where an instance answers one request at a time, ``n`` cost ``n * b``.
    Where it is billed as long as it answers anything, requests overlap: of arrivals at random that each keep it active
    for ``b``, it is active in ``1 - exp(-n * b / month)`` of the month (the busy share of an M/G/infinity queue, Takács
    1962), and never shorter than the work itself takes.
    """
    cold_ms = load.first_ms + (load.init_ms if prices["billing.init"] else 0.0)
    cold = load.cold_share
    alone_s = ((1 - cold) * billed_ms(prices, load.warm_ms) + cold * billed_ms(prices, cold_ms)) / 1000
    if not prices["billing.shared"]:
        return requests * alone_s
    work_s = ((1 - cold) * load.warm_ms + cold * cold_ms) / 1000
    return max(-math.expm1(-requests * alone_s / MONTH_S) * MONTH_S, requests * work_s)


def on_demand_cost(prices: Prices, tier: Tier, load: Load, requests: float, *, free: bool = False) -> float:
    """Return a month's bill for instances that come and go.

    ``active * (vcpus * vcpu_second + gb * gb_second) + requests / 1e6 * request_million``, the three meters of
    ``on_demand`` of ``prices.toml``; with ``free``, each less the month's free quantity, and never below zero.
    """
    active = active_seconds(prices, load.on(tier), requests)
    meters = (
        ("vcpu_second", active * tier.vcpus, "vcpu_seconds", 1),
        ("gb_second", active * tier.memory_gb, "gb_seconds", 1),
        ("request_million", requests, "requests", _MILLION),
    )
    return sum(
        prices[f"on_demand.{meter}"] / unit * max(0.0, used - (prices[f"free.{gift}"] if free else 0.0))
        for meter, used, gift, unit in meters
    )


def capacity(tier: Tier, load: Load) -> int:
    """Return the requests a month that one instance answers, one after another, in four fifths of the time."""
    return monthly_answers(load.on(tier).warm_ms)


def monthly_answers(warm_ms: float) -> int:
    """Return the requests a month that something answers which takes so many milliseconds for each, likewise."""
    return math.floor(_BUSIEST * MONTH_S * 1000 / max(warm_ms, 1e-6))


def always_on_cost(prices: Prices, tier: Tier, load: Load, requests: float) -> float:
    """Return a month's bill for as many instances as the requests need, at least one, that never go.

    ``instances * month * standing + active * busy + requests / 1e6 * request_million``, of ``always_on`` of
    ``prices.toml``, each rate of vCPUs and GB: Lambda's provisioned concurrency and Flex Consumption's always ready
    bill the reservation all the time and a lower duration on top; Cloud Run's instance-based billing the whole life of
    the instance and no requests; Function Compute's idle mode memory all the time and vCPUs while active. Free
    quantities do not apply to the first two, and are left out for all.
    """
    instances = max(1, math.ceil(requests / capacity(tier, load)))
    active = active_seconds(prices, load.on(tier).warm(), requests)
    standing, busy = (
        tier.vcpus * prices[f"always_on.{kind}_vcpu_second"] + tier.memory_gb * prices[f"always_on.{kind}_gb_second"]
        for kind in ("standing", "busy")
    )
    return instances * MONTH_S * standing + active * busy + requests / _MILLION * prices["always_on.request_million"]


def break_even(prices: Prices, tier: Tier, load: Load, *, free: bool = False) -> int | None:
    """Return the least number of requests a month from which one instance that is always on costs no more.

    The number where ``always_on_cost`` and ``on_demand_cost`` cross; None where they do not before the instance is at
    its capacity: there it is bought for the starts that it saves callers, not to save money. The difference of the two
    only falls once the free quantities are used up, so halving finds the place.
    """

    def pays(requests: int) -> bool:
        return always_on_cost(prices, tier, load, requests) <= on_demand_cost(prices, tier, load, requests, free=free)

    low, high = 0, capacity(tier, load)
    if not high or not pays(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pays(middle) else (middle, high)
    return high
