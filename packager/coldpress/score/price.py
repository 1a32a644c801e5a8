"""What a job would take here and cost at the bundle's provider, told from a sample of its rows."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

from coldpress.fit.cost import Load, on_demand_cost
from coldpress.fit.prices import priced, read_prices
from coldpress.fit.tiers import smallest_tier
from coldpress.score.function import BatchFunction
from coldpress.score.plan import Plan
from coldpress.targets import TARGETS
from coldpress_runtime.batch.blocks import Blocks, WholeFile
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.compression import decompress, is_compressed
from coldpress_runtime.batch.job import Job
from coldpress_runtime.batch.pace import Pace

__all__ = ["Estimate", "estimate"]

_SAMPLE_S = 2.0
_RUN_S = 900  # of one invocation, before the function hands itself the rest
_MEMORY_MB = 1769
"""Of a function that scores uploads: on AWS Lambda, one vCPU."""


@dataclass(frozen=True)
class Estimate:
    """What scoring takes.

    Attributes:
        inputs: how many objects there are.
        bytes: their sizes' sum.
        rows: about how many rows they hold.
        rows_per_s: about how many this machine scores in a second.
        seconds: about how long it takes here.
        provider: what the bundle is for, as people call it.
        function_s: about how long one of its functions of one vCPU is at work, all in all.
        cost: what it asks for that, without storage and traffic; None where no platform sends the bill.
        currency: of the cost.
    """

    inputs: int
    bytes: int
    rows: int
    rows_per_s: float
    seconds: float
    provider: str
    function_s: float
    cost: float | None
    currency: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return asdict(self)

    def text(self) -> str:
        """Return the record for people."""
        many = f"{self.inputs:,} input{'s' * (self.inputs != 1)}, {self.bytes / 1e6:,.1f} MB"
        here = f"about {self.rows:,} rows; here {self.rows_per_s:,.0f} rows/s, {_duration(self.seconds)}"
        there = f"{self.provider}: {_duration(self.function_s)} of a function of one vCPU"
        price = "" if self.cost is None else f", {self.cost:,.2g} {self.currency} without storage and traffic"
        return f"{many}; {here}.\n{there}{price}.\nNothing was written."


def estimate(plan: Plan, function: BatchFunction, workers: int) -> Estimate:
    """Score the beginning of the largest input, write nothing, and tell the rest from it.

    Raises:
        InputError: it is of no kind that is scored.
        ColdpressError: the model does not open.
    """
    rows, share, seconds = _sample(plan.largest)
    total_rows = round(rows / share * plan.bytes / max(plan.largest.input.size, 1)) if share else 0
    work_s = total_rows * seconds / rows if rows else 0.0
    size = smallest_tier(function.target, _MEMORY_MB)
    cost, currency = None, ""
    if function.target in priced() and size is not None:
        prices = read_prices(function.target)
        runs = max(len(plan.jobs), math.ceil(work_s / _RUN_S))
        cost = on_demand_cost(prices, size, Load(1000 * work_s / runs, 0.0, 0.0), runs)
        currency = prices.currency
    return Estimate(
        inputs=len(plan.jobs),
        bytes=plan.bytes,
        rows=total_rows,
        rows_per_s=workers * rows / seconds if rows else 0.0,
        seconds=work_s / workers,
        provider=TARGETS[function.target].title,
        function_s=work_s,
        cost=cost,
        currency=currency,
    )


def _sample(job: Job) -> tuple[int, float, float]:
    """Score the beginning of an input; return how many rows, which share of it that is, and what one process takes."""
    with Blocks(job.store, job.input, ahead=1) as head:
        packed = is_compressed(head.peek())
        scoring = job.open_scoring(decompress(head))
    pace = Pace(lambda: math.inf)
    rows, seconds, began = 0, 0.0, time.perf_counter()
    with WholeFile(job.store, job.input) if scoring.form.seeks else Blocks(job.store, job.input, ahead=1) as source:
        stream: Any = decompress(source) if packed else source
        for scored in scoring.map(scoring.form.chunks(stream, Position(), pace.sizes)):
            pace.learn(scored)
            rows += scored.count
            seconds += sum(scored.seconds.values())
            if time.perf_counter() - began > _SAMPLE_S:
                read = source.position if packed or scoring.form.seeks else scored.end.offset
                return rows, min(1.0, read / job.input.size), seconds
    return rows, 1.0, seconds


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:,.1f} h"
