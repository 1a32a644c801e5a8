"""What a cascade costs: the function's side, the endpoint's side, and from when an endpoint alone is cheaper.

Every request keeps the function busy for the small model, and those that go out for as long as the endpoint takes: a
function is billed while it waits. An endpoint that scales to zero is billed while it answers; what it takes to wake and
to idle until it sleeps comes on top, and is left out. Times are those measured here, on a CPU: a GPU is quicker.
"""

import tomllib
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from coldpress.fit.compare import Demand, cost_of
from coldpress.fit.cost import MONTH_S, Load, monthly_answers
from coldpress.fit.prices import priced, read_prices
from coldpress.fit.tiers import smallest_tier

__all__ = ["CascadePrice", "cascade_price", "endpoint_hour"]

_MILLION = 1_000_000


@dataclass(frozen=True)
class Hour:
    """What an endpoint costs an hour while it is up, and where that was read; ``what`` is the machine."""

    value: float
    currency: str
    what: str
    source: str
    date: str


@dataclass(frozen=True)
class CascadePrice:
    """Prices of a million requests a month.

    Attributes:
        function: All of them answered by the function's model, nothing sent out.
        waiting: What the function takes besides while it waits for those that go out.
        endpoint: What the endpoint takes for those; None where its price is not known.
        endpoint_alone: An endpoint that answers a million by itself, busy all the time it is up; None likewise.
        always_on: A month of one endpoint that is always up; None likewise.
        break_even: The requests a month from which that, answering everything, costs no more than the cascade; None
            where it does not before the endpoint is at its capacity.
        capacity: The requests a month that one endpoint answers, one after another, in four fifths of the time.
        hour: Of the endpoint.
    """

    currency: str
    region: str
    function: float
    waiting: float
    endpoint: float | None
    endpoint_alone: float | None
    always_on: float | None
    break_even: int | None
    capacity: int | None
    hour: Hour | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that reports hold."""
        return asdict(self)


def endpoint_hour(kind: str) -> Hour | None:
    """Return what an endpoint of ``fallback.endpoint``'s kinds costs an hour; None where no list price is known."""
    found = _hours().get(kind)
    return Hour(**found) if found else None


@cache
def _hours() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))


def cascade_price(
    target: str,
    architecture: str,
    memory_mb: int,
    kind: str,
    *,
    small_ms: float,
    large_ms: float,
    escalated: float,
    demand: Demand | None = None,
) -> CascadePrice | None:
    """Return what a million requests cost; None where no platform sends the function's bill.

    Args:
        target: A target's name.
        architecture: The function's.
        memory_mb: Likewise.
        kind: The endpoint's, of ``fallback.endpoint``.
        small_ms: What a warm answer of the small model takes.
        large_ms: What one of the large model takes.
        escalated: The share of requests that go out.
        demand: What is asked for; a million a month, of which one in a hundred starts cold.
    """
    demand = demand or Demand()
    size = smallest_tier(target, memory_mb)
    if size is None or target not in priced():
        return None
    prices = read_prices(target, architecture)

    def function(ms: float) -> float:
        return cost_of(prices, size, Load(ms, ms, 0.0, demand.cold_share), demand).per_million

    share = min(1.0, size.vcpus)
    plain, waiting = function(small_ms), function(small_ms + escalated * large_ms * share)  # waiting needs no CPU
    hour = endpoint_hour(kind)
    if hour is None or hour.currency != prices.currency:
        return CascadePrice(prices.currency, prices.region, plain, waiting - plain, *(None,) * 6)
    alone = hour.value * large_ms / 3600 / 1000 * _MILLION
    per_request = (waiting + escalated * alone) / _MILLION
    month = hour.value * MONTH_S / 3600
    capacity = monthly_answers(large_ms)
    even = int(-(-month // per_request)) if per_request else capacity + 1
    return CascadePrice(
        currency=prices.currency,
        region=prices.region,
        function=plain,
        waiting=waiting - plain,
        endpoint=escalated * alone,
        endpoint_alone=alone,
        always_on=month,
        break_even=even if even <= capacity else None,
        capacity=capacity,
        hour=hour,
    )
