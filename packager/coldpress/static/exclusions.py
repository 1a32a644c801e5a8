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

from coldpress.answer_loss import Loss, OutputLoss
from coldpress.static.calibrate import Method
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
_FORM_SHARE, _SENSITIVITY_SHARE, _LADDER_SHARE = 0.2, 0.5, 0.3
"""Parts of the time for choosing a form, for measuring units one by one, and for the ladder."""
_CLIPPING = 4.0
"""Ranges by percentile must lose this many times less: what they clip no layer left in float brings back."""
_ALIKE = 1.1
"""Forms whose times are within this factor of the quickest are told apart by their loss."""
_TIMED_RUNS = 6
_LEAST_COST = 0.01
"""No unit counts as cheaper than this part of the model; leaving one in float costs two conversions at least."""


@dataclass(frozen=True)
class Candidate:
    """What to tell ``quantise``, and what to expect of it.

    Attributes:
        exclude: Nodes to leave in float, by first output.
        products: Whether Conv, MatMul and Gemm alone are quantised.
        method: How ranges are found.
        loss: On requests that ranges were not taken from, where there were enough.
        cost: The part of all quantisable multiplications that is done on integers.
    """

    exclude: frozenset[str]
    products: bool
    method: Method
    loss: Loss
    cost: float


def search_exclusions(
    model: ModelProto,
    calibration: Sequence[Mapping[str, Any]],
    *,
    target: float = 1e-3,
    seconds: float = 120.0,
    progress: Progress | None = None,
) -> tuple[Candidate, ...]:
    """Return candidates from all quantised to the first that meets ``target``, or to one unit quantised.

    First the form is chosen, products alone or what lies between them too: the quicker, or if they are as quick, the
    one that loses less. Each rung then takes its ranges by the method that serves it best: a single layer with
    outliers, quantised whole, would choose for all. Of eight requests or more every third is kept from calibration
    here and the loss measured on those, so that answers beyond the ranges seen show. Time and ``target`` both end the
    search with what was found by then.

    Args:
        model: As for ``quantise``.
        calibration: Requests, inputs by name.
        target: The ``Loss.mean`` to reach.
        seconds: Stop after about so long.
        progress: Called before each trial.

    Returns:
        Each candidate leaves more in float than the one before; none where nothing can be quantised.

    Raises:
        ModelError: The operator set is too old to convert.
        SamplesError: There are no requests, or the model does not run on one.
    """
    deadline = time.monotonic() + seconds
    tell = progress or (lambda _what, _done: None)
    fitted = measured = calibration
    if len(calibration) >= _LEAST_SPLIT:
        measured = calibration[::3]
        fitted = [request for index, request in enumerate(calibration) if index % 3]
    trial = _quickest(Quantiser.of(model, fitted), measured[:_MOST_MEASURED], tell)
    if trial is None:
        return ()
    if time.monotonic() < deadline:
        tell("ranges without the outermost values", _FORM_SHARE / 2)
        trial.add(Quantiser.of(model, fitted, method="percentile"))
    head, units = trial.units()
    tell("everything quantised", _FORM_SHARE)
    found = [trial.candidate(frozenset())]
    if units and found[0].loss.mean > target:
        tell("all but the last products", _FORM_SHARE)
        found.append(trial.candidate(head))
    harm: list[tuple[float, frozenset[str]]] = []
    for index, unit in enumerate(units if found[-1].loss.mean > target else ()):
        tell(f"only {min(unit)} and what follows it", _FORM_SHARE + _SENSITIVITY_SHARE * index / len(units))
        late = time.monotonic() > deadline - seconds * _LADDER_SHARE
        # What there was no time to measure comes last, in its own order.
        harm.append((-index if late else trial.harm(unit), unit))
    order = [unit for _, unit in sorted(harm, key=lambda pair: -pair[0])]
    count = 0
    while found[-1].loss.mean > target and count < len(order) - 1 and time.monotonic() < deadline:
        count = min(max(count + 1, int(count * _STEP)), len(order) - 1)
        done = 1 - _LADDER_SHARE * (1 - count / len(order))
        tell(f"all but the last products and {count} of {len(order)} units", done)
        found.append(trial.candidate(head.union(*order[:count])))
    return tuple(found)


def _quickest(made: Quantiser, measured: Sequence[Mapping[str, Any]], tell: Progress) -> "_Trial | None":
    """Return the form that is quick and loses least, None where nothing can be quantised."""
    tried: list[tuple[float, float, _Trial]] = []
    for products in (False, True):
        tell(f"{'products' if products else 'everything'} quantised", 0.0)
        trial = _Trial(made, measured, products=products)
        head, _ = trial.units()
        if nodes := trial.choose(head) or trial.choose():
            tried.append((trial.milliseconds(nodes), trial.loss(made, nodes).mean, trial))
    if not tried:
        return None
    least = min(took for took, _, _ in tried)
    return min((each for each in tried if each[0] <= least * _ALIKE), key=lambda each: each[1])[2]


class _Trial:
    """Takes loss and time of quantised models of one form."""

    def __init__(self, made: Quantiser, requests: Sequence[Mapping[str, Any]], *, products: bool) -> None:
        self._made = made
        self._all = [made]
        self._products = products
        self._requests = requests
        self._whole = made.cost(self.choose())
        self._measure = OutputLoss(_answers(made.model, requests))

    def add(self, made: Quantiser) -> None:
        """Try the ranges of ``made`` too from now on."""
        self._all.append(made)

    def choose(self, exclude: Collection[str] = ()) -> frozenset[str]:
        return self._made.graph.choose(exclude, products=self._products)

    def units(self) -> tuple[frozenset[str], list[frozenset[str]]]:
        return _units(self._made.graph, self.choose())

    def candidate(self, exclude: frozenset[str]) -> Candidate:
        """Quantise all but ``exclude``, with the ranges that lose least."""
        nodes = self.choose(exclude)
        tried = [(self.loss(made, nodes), made.method) for made in self._all]
        loss, method = min(tried, key=lambda pair: pair[0].mean * (_CLIPPING if pair[1] == "percentile" else 1.0))
        return Candidate(exclude, self._products, method, loss, self._made.cost(nodes) / self._whole)

    def harm(self, unit: Collection[str]) -> float:
        """Quantise only ``unit``; return the loss for what it saves."""
        return self.loss(self._made, unit).mean / (self._made.cost(unit) / self._whole + _LEAST_COST)

    def loss(self, made: Quantiser, nodes: Collection[str]) -> Loss:
        """Quantise ``nodes`` with the ranges of ``made``."""
        return self._measure.of(_answers(made.write(nodes), self._requests))

    def milliseconds(self, nodes: Collection[str]) -> float:
        """Quantise ``nodes``; return the processor time of the quickest run, which other work disturbs least."""
        session = open_session(self._made.write(nodes))
        took = []
        for _ in range(_TIMED_RUNS):
            begun = time.process_time()
            session.run(None, dict(self._requests[0]))
            took.append((time.process_time() - begun) * 1e3)
        return min(took)


def _answers(model: ModelProto, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    session = open_session(model)
    names = [output.name for output in session.get_outputs()]
    return [dict(zip(names, session.run(None, dict(request)), strict=True)) for request in requests]


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
