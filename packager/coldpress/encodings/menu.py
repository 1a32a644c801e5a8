"""Every encoding there is, which of them a weight may have, and a model written with the ones chosen."""

from collections.abc import Collection, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from coldpress.encodings.dynamic_int8 import DynamicInt8
from coldpress.encodings.encoding import Encoded, Encoding, Role, Site
from coldpress.encodings.fp16_storage import Fp16Storage
from coldpress.encodings.int_storage import BlockStorage, Int8Storage
from coldpress.encodings.nbits import NBits
from coldpress.encodings.sites import find_sites
from coldpress.encodings.transport import TRANSPORT
from coldpress.shrink.common_nodes import merge_common_nodes
from coldpress.shrink.dead_code import drop_dead_nodes, drop_unused_initializers
from coldpress.shrink.dedup_weights import dedup_weights
from coldpress.shrink.draft import Draft
from coldpress.shrink.guard import Guard
from coldpress.shrink.late_expansion import expand_late
from coldpress.shrink.scopes import bodies, unique_names

__all__ = ["ENCODINGS", "Overhead", "menu", "overhead", "rewrite"]

_ALL: tuple[Encoding, ...] = (
    Fp16Storage(),
    BlockStorage(8),
    Int8Storage(),
    BlockStorage(6),
    BlockStorage(4),
    *TRANSPORT,
    *(NBits(bits, block) for bits in (8, 4) for block in (32, 64, 128)),
    DynamicInt8(),
)
ENCODINGS: dict[str, Encoding] = {encoding.name: encoding for encoding in _ALL}
"""By name; those of one family from the most faithful to the smallest."""


def menu(site: Site, families: Collection[str]) -> tuple[Encoding, ...]:
    """Return the encodings of these families that ``site`` may have."""
    return tuple(e for e in ENCODINGS.values() if e.family in families and not e.refusal(site))


def rewrite(
    model: ModelProto,
    choice: Mapping[str, str],
    grams: Mapping[str, np.ndarray] | None = None,
    encoded: Mapping[str, Encoded] | None = None,
) -> ModelProto:
    """Return a copy of ``model`` with the chosen weights encoded; a weight that is not chosen stays as it is.

    Args:
        model: After the lossless passes, so that weights are initialisers.
        choice: Names of encodings by names of sites, each from the site's ``menu``.
        grams: For encodings that round by calibration: see ``Encoding.encode``; by name of site.
        encoded: Weights that are encoded already, as chosen, by name of site; the others are encoded here.

    Raises:
        KeyError: A name is of no site, or no encoding.
        ValueError: An encoding refuses its site, or the model that came out is unsound; it says how.
    """
    draft = Draft(model)
    unique_names(draft.proto)
    guard = Guard.of(draft)
    sites = {site.name: site for site in find_sites(draft, least=1)}
    for name, encoding_name in choice.items():
        if refusal := ENCODINGS[encoding_name].refusal(sites[name]):
            raise ValueError(f"{encoding_name} cannot hold {name!r}: {refusal}")
    for name, encoding_name in choice.items():
        ready = encoded.get(name) if encoded else None
        if ready is None:
            gram = grams.get(name) if grams else None
            ready = ENCODINGS[encoding_name].encode(_weight(draft, name), sites[name], gram)
        ENCODINGS[encoding_name].write(draft, sites[name], ready)
    for clean in (dedup_weights, merge_common_nodes, expand_late, drop_dead_nodes, drop_unused_initializers):
        clean(draft)
    if problem := guard.complaint(draft):
        raise ValueError(f"the model cannot be written with these encodings: {problem}")
    return draft.restore()


def _weight(draft: Draft, name: str) -> np.ndarray:
    found = (t for body in bodies(draft.proto.graph) if isinstance(body, GraphProto) for t in body.initializer)
    return draft.array(next(tensor for tensor in found if tensor.name == name))


class Overhead(NamedTuple):
    """Bytes of a file beside the arrays: for ``each`` weight in an encoding, and ``once`` for tables they share."""

    each: int
    once: int


@cache
def overhead(encoding_name: str, role: Role) -> Overhead:
    """Measure what nodes and names of an encoding take, on small models with one and two weights.

    A file's size is then predicted within the length of names: the original's, less ``site.nbytes``, plus
    ``encoding.nbytes(site)`` and ``each`` for every weight encoded, plus ``once``.
    """
    extra = [_extra(encoding_name, role, count) for count in (1, 2)]
    each = extra[1] - extra[0]
    return Overhead(each, extra[0] - each)


def _extra(encoding_name: str, role: Role, count: int) -> int:
    operator = {"rows": "Gather", "gemm": "Gemm"}.get(role, "MatMul")
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for number in range(count):
        name = f"w{number}"
        inputs = [name, "x"] if role == "rows" else ["x", name]
        nodes.append(helper.make_node(operator, inputs, [f"y{number}"]))
        weights.append(numpy_helper.from_array(rng.random((256, 256 + 32 * number), np.float32), name))
    kind = TensorProto.INT64 if role == "rows" else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info(f"y{n}", TensorProto.FLOAT, None) for n in range(count)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, (8, 256))], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    after = rewrite(model, {f"w{number}": encoding_name for number in range(count)})
    encoding = ENCODINGS[encoding_name]
    saved = sum(site.nbytes - encoding.nbytes(site) for site in find_sites(Draft(model)))
    return after.ByteSize() - model.ByteSize() + saved
