"""What must stay in float, found by measuring answers: detection heads, wide-ranged layers, whatever it is.

Each product, with the elementwise nodes behind it, is a unit; the last products before an answer are one unit together,
for their codes would bound and round the answers themselves, while they cost next to nothing in float. Every unit is
quantised by itself and the loss of the answers taken. Then the model is quantised whole but for the units that harm
most for what they compute, more and more of them until the loss is met.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from coldpress.static.loss import Loss, OutputLoss
from coldpress.static.modernise import open_session
from coldpress.static.operators import PRODUCTS, Graph
from coldpress.static.quantise import Quantiser

__all__ = ["Candidate", "Progress", "search_exclusions"]

Progress = Callable[[str, float], None]
"""Told what is being tried, and the part of the work that is done, 0 to 1."""
_MOST_UNITS = 80
"""Neighbouring units are measured together where a model has more."""
_MOST_MEASURED = 16
"""Requests that each trial answers."""
_LEAST_SPLIT = 8
"""From so many requests on, some are kept from calibration."""
_STEP = 1.4
"""Each rung of the ladder leaves this many times as many units in float as the one before, and at least one more."""
_SENSITIVITY_SHARE = 0.7
"""Part of the time that may go into measuring units one by one."""
_LEAST_COST = 0.01
"""No unit counts as cheaper than this part of the model; leaving one in float costs two conversions at least."""


@dataclass(frozen=True)
class Candidate:
    """Nodes to leave in float, by first output.

    Attributes:
        exclude: What ``quantise`` and ``Graph.choose`` take.
        loss: On requests that ranges were not taken from, where there were enough.
        cost: The part of all quantisable multiplications that is done on integers.
    """

    exclude: frozenset[str]
    loss: Loss
    cost: float


def search_exclusions(
    model: ModelProto,
    calibration: Sequence[Mapping[str, Any]],
    *,
    target: float = 1e-3,
    products: bool = False,
    seconds: float = 120.0,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Return candidates from all quantised to the first that meets ``target``, or to one unit quantised.

    Of eight requests or more every third is kept from calibration here and the loss measured on those, so that answers
    beyond the ranges seen show. Time and ``target`` both end the search with what was found by then.

    Args:
        model: As for ``quantise``.
        calibration: Requests, inputs by name.
        target: The ``Loss.mean`` to reach.
        products: Quantise Conv, MatMul and Gemm only.
        seconds: Stop after about so long.
        progress: Called before each trial.

    Raises:
        ModelError: The operator set is too old to convert.
        SamplesError: There are no requests, or the model does not run on one.
    """
    deadline = time.monotonic() + seconds
    tell = progress or (lambda _what, _done: None)
    tell("ranges of activations", 0.0)
    fitted = (
        [request for index, request in enumerate(calibration) if index % 3] if len(calibration) >= 8 else calibration
    )
    measured = calibration[::3] if len(calibration) >= 8 else calibration
    made = Quantiser.of(model, fitted)
    chosen = made.graph.choose(products=products)
    if not chosen:
        return ()
    trial = _Trial(made, measured[:_MOST_MEASURED], products=products)
    tell("everything quantised", 0.0)
    found = [trial.candidate(frozenset())]
    if found[0].loss.mean <= target:
        return tuple(found)
    head, units = _units(made.graph, chosen)
    if units:
        tell("all but the last products", 0.0)
        found.append(trial.candidate(head))
    harm: list[tuple[float, frozenset[str]]] = []
    for index, unit in enumerate(units if found[-1].loss.mean > target else ()):
        tell(f"only {min(unit)} and what follows it", _SENSITIVITY_SHARE * index / len(units))
        late = time.monotonic() > deadline - seconds * (1 - _SENSITIVITY_SHARE)
        # What there was no time to measure comes last, in its own order.
        harm.append((-index if late else trial.harm(unit), unit))
    order = [unit for _, unit in sorted(harm, key=lambda pair: -pair[0])]
    count = 0
    while found[-1].loss.mean > target and count < len(order) - 1 and time.monotonic() < deadline:
        count = min(max(count + 1, int(count * _STEP)), len(order) - 1)
        done = _SENSITIVITY_SHARE + (1 - _SENSITIVITY_SHARE) * count / len(order)
        tell(f"all but the last products and {count} of {len(order)} units", done)
        found.append(trial.candidate(head.union(*order[:count])))
    return tuple(found)


class _Trial:
    """Takes the loss of quantised models against the float one."""

    def __init__(self, made: Quantiser, requests: Sequence[Mapping[str, Any]], *, products: bool = False) -> None:
        self._made = made
        self._products = products
        self._requests = requests
        self._whole = made.cost(made.graph.choose(products=products))
        self._measure = OutputLoss(self._answers(made.model))

    def candidate(self, exclude: frozenset[str]) -> Candidate:
        """Quantise all but ``exclude``."""
        nodes = self._made.graph.choose(exclude, products=self._products)
        return Candidate(exclude, self.loss(nodes), self._made.cost(nodes) / self._whole)

    def harm(self, unit: Collection[str]) -> float:
        """Quantise only ``unit``; return the loss for what it saves."""
        return self.loss(unit).mean / (self._made.cost(unit) / self._whole + _LEAST_COST)

    def loss(self, nodes: Collection[str]) -> Loss:
        """Quantise ``nodes``."""
        return self._measure.of(self._answers(self._made.write(nodes)))

    def _answers(self, model: ModelProto) -> list[dict[str, Any]]:
        session = open_session(model)
        names = [output.name for output in session.get_outputs()]
        return [dict(zip(names, session.run(None, dict(request)), strict=True)) for request in self._requests]


def _units(graph: Graph, chosen: Collection[str]) -> tuple[frozenset[str], list[frozenset[str]]]:
    """Return ``chosen`` in units, the head first: each product and what is behind it, neighbours joined if too many."""
    last = _last_products(graph)
    unit_of: dict[str, str] = {}
    units: dict[str, set[str]] = {"": set()}
    for name, node in graph.nodes.items():
        if name not in chosen:
            continue
        if node.op_type in PRODUCTS:
            unit = "" if name in last else name
        else:
            known = [unit_of[maker] for value in graph.sources[name] if (maker := graph.source(value)) in unit_of]
            unit = known[-1] if known else name
        unit_of[name] = unit
        units.setdefault(unit, set()).add(name)
    head = frozenset(units.pop(""))
    each = max(-(-len(units) // _MOST_UNITS), 1)
    listed = list(units.values())
    return head, [frozenset().union(*listed[at : at + each]) for at in range(0, len(listed), each)]


def _last_products(graph: Graph) -> set[str]:
    """Return the products from which a path leads to an answer past no other product."""
    last: set[str] = set()
    seen: set[str] = set()
    ahead = list(graph.outputs)
    while ahead:
        node = graph.producers.get(ahead.pop())
        if node is None or node.output[0] in seen:
            continue
        seen.add(node.output[0])
        if node.op_type in PRODUCTS:
            last.add(node.output[0])
        else:
            ahead += [name for name in node.input if name]
    return last
