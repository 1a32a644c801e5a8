"""The search: try what is cheap and faithful first, then walk each style's road as far as answers stay right.

Samples for calibration steer every step; the gate has the last word on each finished candidate, on samples that no
step has seen. What was found stands whenever the search ends: at its limit, at Ctrl-C, or when nothing is left to try.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from onnx import ModelProto

from coldpress.errors import ModelError, SamplesError
from coldpress.gate.gate import Limits
from coldpress.search.calibration import Calibration
from coldpress.search.candidate import Candidate
from coldpress.search.clock import Clock, OutOfTimeError
from coldpress.search.knapsack import Road, greedy_road
from coldpress.search.sensitivity import measure_options
from coldpress.search.static_bases import FAMILY, static_bases
from coldpress.search.styles import FAMILIES, STORAGE, STYLES, Style, uniform, uniform_choices
from coldpress.search.trials import Base, Trials
from coldpress.search.workbench import Workbench
from coldpress.shrink.strip import FINISHING, strip

__all__ = ["Search"]

_SAFETY = 0.8
"""Share of the allowed drop that calibration samples may use up: the gate's bound lies above the drop itself."""
_BISECTIONS = 7
_CLOSE = 0.01
"""A road is not divided further where its two ends differ by less than this share of the weights' bytes."""
_GATES = 5
"""Candidates of one road that are brought before the gate, at most: each is one more chance to pass by luck."""
_CLOSE_ENOUGH = 0.05
"""Between a model that passed and one that did not, differences in bytes below this share are not pursued."""
_SENSITIVITY_SHARE = 0.3
_STATIC_SHARE = 0.4
_FEWEST, _MOST = 4, 48
"""Calibration requests answered for each weight."""


class Search:
    """One search over one model.

    Args:
        model: The model after the lossless passes.
        recipe: The passes that made it.
        trials: Builds and judges candidates, and keeps them.
        calibration: Steers.
        allowed: Words of ``[shrink] allow``.
        limits: Of these the search keeps ``max_bytes`` and ``max_drop`` in sight.
        clock: When to stop.
        tell: Gets a line on what is being tried.
    """

    def __init__(
        self,
        model: ModelProto,
        recipe: tuple[str, ...],
        trials: Trials,
        calibration: Calibration,
        allowed: Collection[str],
        limits: Limits,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._model = model
        self._recipe = recipe
        self._trials = trials
        self._calibration = calibration
        self._allowed = [family for family in FAMILIES if family in allowed]
        self._limits = limits
        self._clock = clock
        self._tell = tell

    def run(self) -> str:
        """Search until done; return why it ended early, or nothing."""
        try:
            self._search()
        except OutOfTimeError:
            return f"The search stopped at its limit of {self._clock.limit_s:g} s; give it more with --time-limit."
        except KeyboardInterrupt:
            return "The search was stopped by hand; the best model found until then is kept."
        return ""

    def _search(self) -> None:
        self._tell("read the weights")
        base = Base(self._recipe, Workbench(self._model))
        sites = base.bench.sites
        for family in self._worth_trying():
            for name, choice in uniform_choices(family, sites, self._allowed).items():
                self._trials.judge(base, name, choice)
        self._tell("watch what weights are multiplied with")
        base = Base(self._recipe, Workbench(self._model, self._calibration.grams(self._model, sites.values())))
        for style in STYLES:
            if style.serves(sites, self._allowed) and (style.computes or self._limits.max_slowdown >= 1):
                self._walk(base, style)
        if FAMILY in self._allowed and any(site.role == "conv" for site in sites.values()):
            self._quantise(base)

    def _worth_trying(self) -> list[str]:
        """Return the families that may meet the limits: what is only stored small never answers faster."""
        return [f for f in self._allowed if self._limits.max_slowdown >= 1 or f not in STORAGE]

    def _encode(self, bench: Workbench, menus: Mapping[str, Sequence[str]]) -> None:
        """Put every weight into every encoding of its menu, one weight after the other: what they share is kept so."""
        for number, (site, encodings) in enumerate(menus.items(), 1):
            self._clock.check()
            self._tell(f"encode weight {number} of {len(menus)}")
            for encoding in encodings:
                bench.encoded(site, encoding)

    def _quantise(self, base: Base) -> None:
        """Compute convolutions with integers, as many of them as passes; what stays float is stored small."""
        seconds = _STATIC_SHARE * max(0.0, self._clock.left)
        requests = self._calibration.samples.requests
        for quantised in static_bases(self._model, requests, base.recipe, base.bench.grams, seconds, self._tell):
            rest = uniform("int8-storage", quantised.bench.sites, self._allowed)
            if not quantised.last and self._drop(quantised, rest) > self._limits.max_drop:
                continue
            candidate = self._trials.judge(quantised, FAMILY, rest)
            if candidate.passed or not _worth_retreating(candidate):
                return

    def _walk(self, base: Base, style: Style) -> None:
        """Find the furthest point of a style's road that passes: by calibration first, then between what the gate says.

        Where the gate refuses what calibration allowed, the next to try lies halfway, in bytes, between that and the
        smallest model that passed.
        """
        road = self._road(base, style)
        number = self._start(base, road)
        refused: int | None = None
        for _ in range(_GATES):
            candidate = self._trials.judge(base, f"mixed-{style.name}", _names(road, number))
            if not candidate.passed:
                if number == 0 or not _worth_retreating(candidate):
                    return
                refused = candidate.bytes
            passed = min((c.bytes for c in self._trials.candidates if c.passed), default=road.nbytes(0))
            if refused is None or passed - refused < _CLOSE_ENOUGH * passed or self._limits.max_bytes is not None:
                return
            number = _nearest(road, (passed + refused) / 2 - base.bench.rest_bytes)

    def _start(self, base: Base, road: Road) -> int:
        """Return the number to try first: the one that just fits the budget, or else what calibration allows."""
        if self._limits.max_bytes is None:
            return self._furthest(base, road)
        first = road.within(self._limits.max_bytes - base.bench.rest_bytes)
        if first is None:
            return len(road) - 1
        large, fits, number = first - 1, len(road) - 1, first
        for _ in range(_BISECTIONS):  # what encodings share, and longer names, no road foresees
            if fits - large <= 1:
                break
            self._clock.check()
            self._tell(f"try weights of {road.nbytes(number) / 1e6:.2f} MB")
            if strip(base.bench.build(_names(road, number)), FINISHING).model.ByteSize() <= self._limits.max_bytes:
                fits = number
            else:
                large = number
            number = min((large + fits) // 2, 2 * large - first + 2)  # it is not far from the first
        return fits

    def _road(self, base: Base, style: Style) -> Road:
        menus = style.menus(base.bench.sites, self._allowed)
        self._encode(base.bench, menus)
        count = self._count(len(menus))

        def track(sites: Iterable[str], total: int) -> Iterator[str]:
            for number, site in enumerate(self._clock.until(sites, _SENSITIVITY_SHARE), 1):
                self._tell(f"{style.name}: how much each weight matters, {number} of {total}")
                yield site

        options = measure_options(base.bench, menus, lambda model: self._calibration.loss(model, count), track)
        return greedy_road(options)

    def _count(self, sites: int) -> int:
        """Return how many requests to answer for each weight, in a share of the time that is left."""
        each = self._calibration.seconds / max(1, len(self._calibration.samples.requests))
        affordable = _SENSITIVITY_SHARE * self._clock.left / max(1, sites) / max(each, 1e-6)
        return int(min(max(affordable, _FEWEST), _MOST))

    def _furthest(self, base: Base, road: Road) -> int:
        """Bisect for the last point of the road whose answers on calibration samples stay within the allowed drop."""
        allowed = _SAFETY * self._limits.max_drop
        good, bad = 0, len(road)
        number = len(road) - 1
        for _ in range(_BISECTIONS):
            self._clock.check()
            self._tell(f"try weights of {road.nbytes(number) / 1e6:.2f} MB")
            if self._drop(base, _names(road, number)) <= allowed:
                good = number
            else:
                bad = number
            if bad - good <= 1 or road.nbytes(good) - road.nbytes(bad - 1) < _CLOSE * road.nbytes(0):
                break
            number = _halfway(road, good, bad)
        return good

    def _drop(self, base: Base, choice: Mapping[str, str]) -> float:
        try:
            return self._calibration.drop(self._calibration.answers(base.bench.build(choice)))
        except (ModelError, SamplesError):
            return float("inf")


def _names(road: Road, number: int) -> dict[str, str]:
    return {site: option.encoding for site, option in road.choice(number).items()}


def _halfway(road: Road, good: int, bad: int) -> int:
    """Return the number between two whose bytes are nearest the middle: steps differ in what they save."""
    middle = (road.nbytes(good) + road.nbytes(min(bad, len(road) - 1))) / 2
    return min(range(good + 1, bad), key=lambda number: abs(road.nbytes(number) - middle))


def _nearest(road: Road, nbytes: float) -> int:
    """Return the number whose weights take about ``nbytes``."""
    return min(range(len(road)), key=lambda number: abs(road.nbytes(number) - nbytes))


def _worth_retreating(candidate: Candidate) -> bool:
    """Tell whether a more faithful candidate could pass: not where speed, memory or too few samples are the reason."""
    verdict = candidate.verdict
    if verdict is None:
        return True
    failed = {check.name for check in verdict.checks if check.verdict != "pass"}
    if verdict.verdict == "inconclusive" and verdict.drop is not None and verdict.drop <= 0:
        failed -= {"quality"}  # nothing was lost that a more faithful one could keep
    return bool(failed - {"latency", "memory", "bytes"})
