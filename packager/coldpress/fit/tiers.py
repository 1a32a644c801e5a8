"""The sizes of instance that providers sell: memory, and the CPU that comes with it.

============ =============================== ==================================================== =====================
provider     memory                          vCPUs                                                read
============ =============================== ==================================================== =====================
aws          every MB                        1 for 1,769 MB, in proportion [1]_                   2026-11-21
gcp          every MiB                       1; 2 above 4 GiB, 4 above 8, 6 above 16, 8 above 24  2026-11-21
                                             [2]_
azure        512, 2,048 or 4,096 MB          0.25, 1 or 2 [3]_                                    2026-11-21
alibaba      multiples of 64 MB              0.05 to 16 in steps of 0.05, at a ratio of 1:1 to    2026-11-21
                                             1:4 to GB [4]_
container    every MB                        as much as the host gives; 1 is counted              --
============ =============================== ==================================================== =====================

.. [1] https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
.. [2] https://docs.cloud.google.com/run/docs/configuring/services/memory-limits
.. [3] https://learn.microsoft.com/azure/azure-functions/flex-consumption-plan
.. [4] https://www.alibabacloud.com/help/en/functioncompute/fc-3-0/product-overview/instance-types-and-usage-modes
"""

import math
from dataclasses import dataclass

from coldpress.errors import FitError
from coldpress.fit.limits import provider

__all__ = ["Tier", "smallest_tier", "tier"]

_STEP_MB = {"alibaba": 64}
_LAMBDA_MB_PER_VCPU = 1769
_CLOUD_RUN_VCPUS = ((24_576, 8.0), (16_384, 6.0), (8_192, 4.0), (4_096, 2.0))
_FLEX_VCPUS = {512: 0.25, 2048: 1.0, 4096: 2.0}


@dataclass(frozen=True)
class Tier:
    """A size of instance: ``memory_mb`` in the provider's MB (2^20 bytes), and the vCPUs that it has."""

    memory_mb: int
    vcpus: float

    @property
    def memory_gb(self) -> float:
        """Memory in the GB (2^30 bytes) that providers bill."""
        return self.memory_mb / 1024


def tier(target: str, memory_mb: int) -> Tier:
    """Return the size that has exactly ``memory_mb``.

    Raises:
        FitError: the provider does not sell it; the message names the nearest that it does.
    """
    found = smallest_tier(target, memory_mb)
    if found is not None and found.memory_mb == memory_mb:
        return found
    near = [f"{mb:,}" for mb in (_largest_below(target, memory_mb), found and found.memory_mb) if mb]
    nearest = f"the nearest are {' and '.join(near)} MB" if len(near) > 1 else f"the nearest is {near[0]} MB"
    raise FitError(
        f"{provider(target).title} sells no instance of {memory_mb:,} MB: {nearest}; set memory_mb to what is sold."
    )


def smallest_tier(target: str, least_mb: float) -> Tier | None:
    """Return the smallest size with at least ``least_mb``, None where the provider's largest has less."""
    memory = provider(target).limits["memory_mb"]
    step = _STEP_MB.get(target, 1)
    sizes = memory.choices or (max(memory.least, math.ceil(least_mb / step) * step),)
    fitting = [mb for mb in sizes if least_mb <= mb <= memory.limit]
    return Tier(min(fitting), _vcpus(target, min(fitting))) if fitting else None


def _largest_below(target: str, memory_mb: int) -> int | None:
    memory = provider(target).limits["memory_mb"]
    step = _STEP_MB.get(target, 1)
    sizes = memory.choices or (min(memory.limit, memory_mb // step * step),)
    return max((mb for mb in sizes if memory.least <= mb < memory_mb), default=None)


def _vcpus(target: str, memory_mb: int) -> float:
    """Return the vCPUs of a size; where a customer may choose, one that a single thread keeps busy."""
    if target == "aws":
        return memory_mb / _LAMBDA_MB_PER_VCPU
    if target == "gcp":
        return next((vcpus for above, vcpus in _CLOUD_RUN_VCPUS if memory_mb > above), 1.0)
    if target == "azure":
        return _FLEX_VCPUS[memory_mb]
    if target == "alibaba":
        gb = memory_mb / 1024
        return max(math.floor(20 * min(gb, 1.0)), math.ceil(20 * gb / 4)) / 20
    return 1.0
