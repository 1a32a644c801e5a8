"""What products are given: the Gram matrices of their inputs over calibration requests, which GPTQ rounds by."""

import functools
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from coldpress.encodings.encoding import Site
from coldpress.encodings.patches import patches
from coldpress.model.files import read_model, write_model
from coldpress.reference import Reference

__all__ = ["input_grams"]

_MOST_SUMMED = 2048
"""Convolutions that sum over more have no Gram matrix: it would take longer to factor than it is worth."""
_MOST_PATCHES = 4096
"""Patches of one request's input that are taken in."""


class _Operand(NamedTuple):
    """The name of a product's left operand, and how the product lays it out as rows: ``settings`` tells them apart."""

    name: str
    settings: bytes


class _Product(NamedTuple):
    """A node that multiplies by a weight of that shape."""

    node: NodeProto
    weight: tuple[int, ...]

    @property
    def operand(self) -> _Operand:
        """What it multiplies, equal for products that lay the same value out alike."""
        bare = NodeProto(op_type="Conv" if self.node.op_type == "Conv" else "", attribute=self.node.attribute)
        if not bare.op_type:
            del bare.attribute[:]
            bare.attribute.extend(a for a in self.node.attribute if a.name == "transA")
        return _Operand(self.node.input[0], bare.SerializeToString(deterministic=True) + repr(self.weight[2:]).encode())

    def rows(self, value: np.ndarray) -> np.ndarray:
        """Return the left operand as [rows, K]."""
        if self.node.op_type == "Conv":
            met = patches(self.node, value, self.weight, _MOST_PATCHES)
            return np.empty((0, 0)) if met is None else met
        turned = any(attribute.name == "transA" and attribute.i for attribute in self.node.attribute)
        return value.T if turned else value.reshape(-1, value.shape[-1])


_TOGETHER = 1024
"""Inputs multiplied at once."""


def input_grams(
    model: Path, requests: Iterable[Mapping[str, Any]], sites: Iterable[Site], *, threads: int = 1
) -> dict[str, np.ndarray]:
    """Return, by name of site, the sum of x xᵀ over all inputs x that its products had: float64 [K, K].

    The plain binding runs a copy of the model in which those inputs are outputs as well, one request at a time; only
    the sums are kept. Sites without a matrix product, or a convolution in one group, in the main graph have none, and
    weights with the same input share one array. Of a convolution's patches up to 4,096 a request are taken, evenly
    spread. Inputs that are not finite are left out.

    Args:
        model: The file; its weights must be initialisers.
        requests: Inputs by name.
        sites: As found in that file.
        threads: Inside an operator.

    Raises:
        SamplesError: The model refuses a request.
    """
    whole = read_model(model)
    operands = _operands(whole, {site.name: site for site in sites})
    wanted = {operand: product for several in operands.values() for operand, product in several.items()}
    given = {value.name for value in whole.graph.input}
    shown = given | {value.name for value in whole.graph.output}
    for name in sorted({operand.name for operand in wanted} - shown):
        whole.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    sums: defaultdict[_Operand, _Sum] = defaultdict(_Sum)
    with tempfile.TemporaryDirectory(prefix="coldpress-gram-") as folder:
        path = Path(folder, "model.onnx")
        write_model(whole, path)
        del whole
        reference = Reference(path, threads=threads)
        for request in requests:
            values = {**request, **reference.run(request)}
            for operand, product in wanted.items():
                sums[operand].add(product.rows(np.asarray(values[operand.name])))
    totals = {operand: one.total() for operand, one in sums.items()}
    return {
        site: functools.reduce(np.add, [totals[operand] for operand in sorted(several)])
        for site, several in operands.items()
        if several.keys() <= totals.keys()
    }


def _operands(model: ModelProto, sites: Mapping[str, Site]) -> dict[str, dict[_Operand, _Product]]:
    """Return the left operands of each site that products of the main graph read, with a product of each."""
    constant = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, dict[_Operand, _Product]] = {}
    for node in model.graph.node:
        site = sites.get(node.input[1]) if len(node.input) > 1 else None
        if site is not None and node.input[0] not in constant and _multiplies(node, site):
            product = _Product(node, site.shape)
            found.setdefault(site.name, {})[product.operand] = product
    return found


def _multiplies(node: NodeProto, site: Site) -> bool:
    """Whether the node's output channels are each a product of the same rows with a part of the weight."""
    if node.op_type == "Conv":
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        return site.role == "conv" and not grouped and site.elements <= _MOST_SUMMED * site.shape[0]
    return node.op_type in ("MatMul", "Gemm") and site.role in ("matmul", "gemm") and len(site.shape) == 2


class _Sum:
    """The sum of x xᵀ, of which each product of matrices takes in many inputs: a few at a time cost as much."""

    def __init__(self) -> None:
        self._waiting: list[np.ndarray] = []
        self._total: np.ndarray | None = None

    def add(self, inputs: np.ndarray) -> None:
        """Take in [count, K]; rows that are not finite are left out."""
        self._waiting.append(inputs[np.isfinite(inputs).all(axis=1)].astype(np.float64))
        if sum(len(some) for some in self._waiting) >= _TOGETHER:
            self._flush()

    def total(self) -> np.ndarray:
        """Return float64 [K, K]."""
        self._flush()
        if self._total is None:
            raise ValueError("nothing was added")
        return self._total

    def _flush(self) -> None:
        if self._waiting:
            inputs = np.concatenate(self._waiting)
            product = inputs.T @ inputs
            self._total = product if self._total is None else self._total + product
            self._waiting = []
