"""The range of every activation over the calibration requests: what 256 codes are laid over.

This is ours and not ``onnxruntime.quantization.calibrate``: that one holds every activation of every request for its
histograms (memory without bound), writes temporary models, and needs shape inference to succeed. Here ONNX Runtime
reduces each activation to its extremes inside the graph; histograms are added up request by request, over activations
fetched in groups of bounded size.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from coldpress.errors import SamplesError
from coldpress.shrink.scopes import defined_names, fresh_name, opset_of
from coldpress.static.modernise import open_session

__all__ = ["Method", "Seen", "calibrate", "channel_means"]

Method = Literal["minmax", "percentile"]
"""How a range is found: the extremes seen, or all but the outermost values; which is better differs by model.

Choosing the range of least squared error was tried too; on nine models it was never the best of the three.
"""


class Seen(NamedTuple):
    """What the requests made of one activation: the least and largest value that codes shall stand for, and its size.

    ``size`` is the number of its values in the request where that was largest.
    """

    low: float
    high: float
    size: int


_BINS = 2048
_GROUP_BYTES = 128 * 2**20
"""Activations fetched from one run, at most; a single larger one is fetched by itself."""
_AXES_ARE_INPUT = 18
"""The opset from which ReduceMean takes its axes as an input (ONNX operator changelog)."""
_KEPT = 0.99999
"""The share of values inside a range found by percentile; half of the others lie beyond each end."""
_COUNTED = 2**16
"""Values of one activation and request that are counted, at most, evenly spaced."""


def calibrate(
    model: ModelProto, values: Sequence[str], requests: Sequence[Mapping[str, Any]], method: Method = "minmax"
) -> dict[str, Seen]:
    """Return the range of each of ``values`` that is a float32 tensor, over ``requests``.

    Args:
        model: Of opset 13 or later.
        values: Names in its main graph.
        requests: Inputs by name.
        method: ``percentile`` runs the model twice, or more often where activations do not fit one group.

    Raises:
        SamplesError: There are no requests, or the model does not run on one.
    """
    if not requests:
        raise SamplesError("Static int8 needs samples to find the range of every activation; give 32 or more.")
    ranges = _extremes(model, _floats(model, values), requests)
    if method == "minmax":
        return ranges
    for group in _groups({name: seen.size * 4 for name, seen in ranges.items() if seen.high > seen.low}):
        counts = {name: np.zeros(_BINS, np.int64) for name in group}
        for arrays in _fetch(model, group, requests):
            for name, array in arrays.items():
                # An odd step does not fall on the same column of every row.
                some = array.reshape(-1)[:: array.size // _COUNTED | 1]
                counts[name] += np.histogram(some, _BINS, ranges[name][:2])[0]
        ranges.update({name: _percentile(counts[name], ranges[name]) for name in group})
    return ranges


def channel_means(
    model: ModelProto, values: Sequence[str], requests: Sequence[Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """Return the mean over requests of each value [N, C, ...] by channel, float64 [C]; of a matrix by column."""
    if not values:
        return {}
    copy, names = _with_means(model, values)
    session = open_session(copy)
    sums: dict[str, np.ndarray] = {}
    for request in requests:
        for name, array in zip(values, _run(session, list(names), request), strict=True):
            sums[name] = sums.get(name, 0.0) + array.astype(np.float64)
    return {name: total / len(requests) for name, total in sums.items()}


def _floats(model: ModelProto, values: Sequence[str]) -> list[str]:
    """Return those of ``values`` that ONNX Runtime says are float32 tensors; its inference never gives up."""
    copy = ModelProto()
    copy.CopyFrom(model)
    _expose(copy, values)
    kinds = {output.name: output.type for output in open_session(copy).get_outputs()}
    return [name for name in values if kinds[name] == "tensor(float)"]


def _extremes(model: ModelProto, values: Sequence[str], requests: Sequence[Mapping[str, Any]]) -> dict[str, Seen]:
    if not values:
        return {}
    copy = ModelProto()
    copy.CopyFrom(model)
    taken = set(defined_names(copy.graph))
    names: list[str] = []
    del copy.graph.output[:]
    for name in values:
        made = [fresh_name(taken, f"cal{kind}") for kind in ("min", "max", "size")]
        copy.graph.node.extend(
            [
                helper.make_node("ReduceMin", [name], [made[0]], keepdims=0),
                helper.make_node("ReduceMax", [name], [made[1]], keepdims=0),
                helper.make_node("Size", [name], [made[2]]),
            ]
        )
        names += made
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.INT64 if index % 3 == 2 else TensorProto.FLOAT, [])
        for index, name in enumerate(names)
    )
    session = open_session(copy)
    table = np.array([_run(session, names, request) for request in requests], np.float64)
    table = table.reshape(len(requests), len(values), 3)
    found = {}
    for index, name in enumerate(values):
        low, high, size = table[:, index].T
        filled = (size > 0) & np.isfinite(low) & np.isfinite(high)
        if filled.all():
            found[name] = Seen(float(low.min()), float(high.max()), int(size.max()))
    return found


def _with_means(model: ModelProto, values: Sequence[str]) -> tuple[ModelProto, list[str]]:
    """Return a copy that answers the mean of each value over everything but axis 1, by names of their own."""
    copy = ModelProto()
    copy.CopyFrom(model)
    taken = set(defined_names(copy.graph))
    names = []
    del copy.graph.output[:]
    for name in values:
        shape, axes, flat, mean = (fresh_name(taken, f"cal{kind}") for kind in ("shape", "axes", "flat", "mean"))
        # [N, C, ...] -> [N, C, -1]; the mean over the outer two leaves [C].
        copy.graph.initializer.append(helper.make_tensor(shape, TensorProto.INT64, [3], [0, 0, -1]))
        copy.graph.node.append(helper.make_node("Reshape", [name, shape], [flat]))
        if opset_of(model) < _AXES_ARE_INPUT:
            copy.graph.node.append(helper.make_node("ReduceMean", [flat], [mean], axes=[0, 2], keepdims=0))
        else:
            copy.graph.initializer.append(helper.make_tensor(axes, TensorProto.INT64, [2], [0, 2]))
            copy.graph.node.append(helper.make_node("ReduceMean", [flat, axes], [mean], keepdims=0))
        names.append(mean)
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    return copy, names


def _groups(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Cut names into lists whose sizes together stay below the limit."""
    group: list[str] = []
    held = 0
    for name, size in sizes.items():
        if group and held + size > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(name)
        held += size
    if group:
        yield group


def _fetch(
    model: ModelProto, names: Sequence[str], requests: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, np.ndarray]]:
    copy = ModelProto()
    copy.CopyFrom(model)
    _expose(copy, names)
    session = open_session(copy)
    for request in requests:
        yield dict(zip(names, _run(session, list(names), request), strict=True))


def _expose(model: ModelProto, names: Sequence[str]) -> None:
    """Make ``names`` outputs of the graph too; ONNX Runtime fills in their types."""
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in present)


def _run(session: Any, names: list[str], request: Mapping[str, Any]) -> list[np.ndarray]:
    try:
        found: list[np.ndarray] = session.run(names, dict(request))
    except Exception as error:  # the binding raises a dozen classes of its own
        raise SamplesError(
            f"The model does not run on a calibration request: {' '.join(str(error).split())[:300]}"
        ) from error
    return found


def _percentile(counts: np.ndarray, seen: Seen) -> Seen:
    edges = np.linspace(seen.low, seen.high, _BINS + 1)
    share = np.cumsum(counts) / counts.sum()
    below = int(np.searchsorted(share, (1 - _KEPT) / 2, "right"))
    above = int(np.searchsorted(share, (1 + _KEPT) / 2, "left"))
    return seen._replace(low=float(edges[below]), high=float(edges[min(above + 1, _BINS)]))
