"""What each weight's encoding does to the answers, measured for one encoding a weight and scaled to the others.

Weights differ by orders of magnitude in how much their errors matter, and their own error says little of it: at the
same size, choosing by weight error alone was measured to be no better than choosing at random. So each weight by
itself is replaced by what its coarsest encoding makes of it, and answers are compared. The loss of answers grows with
the square of the weight's error while that is small, which gives the other encodings without another run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from onnx import ModelProto

from coldpress.search.knapsack import Option
from coldpress.search.workbench import KEEP, Workbench

__all__ = ["measure_options"]

MOST_MEASURED = 160
"""Weights measured one by one, largest first; the rest is taken to be as sensitive as the median of these."""
_LEAST_LOSS = 1e-12


def measure_options(
    bench: Workbench,
    menus: Mapping[str, Sequence[str]],
    loss: Callable[[ModelProto], float],
    track: Callable[[Iterable[str], int], Iterable[str]],
) -> dict[str, list[Option]]:
    """Return every weight's options with their bytes and predicted losses.

    Args:
        bench: The model.
        menus: The encodings allowed, by site.
        loss: The loss of a model's answers on calibration samples, 0 for none.
        track: Wraps the sites that are measured, to show progress or to stop early.
    """
    by_size = sorted(menus, key=lambda site: (-bench.sites[site].nbytes, site))
    errors = {site: {name: bench.error(site, name) for name in menus[site]} for site in by_size}
    factors: dict[str, float] = {}
    measured = [site for site in by_size[:MOST_MEASURED] if menus[site]]
    for site in track(measured, len(measured)):
        coarsest = max(errors[site], key=lambda name: errors[site][name])
        if (error := errors[site][coarsest]) > 0:
            factors[site] = loss(bench.with_weight(site, coarsest)) / error
    usual = median(factors.values()) if factors else 1.0
    return {
        site: [
            Option(KEEP, bench.sites[site].nbytes, 0.0),
            *(
                Option(name, bench.nbytes(site, name), max(_LEAST_LOSS, error * factors.get(site, usual)))
                for name, error in errors[site].items()
            ),
        ]
        for site in by_size
    }
