"""What products are given: the Gram matrices of their inputs over calibration requests, which GPTQ rounds by."""

import functools
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from coldpress.encodings.encoding import Site
from coldpress.model.files import read_model, write_model
from coldpress.reference import Reference

__all__ = ["input_grams"]

_Operand = tuple[str, bool]
"""The name of a product's left operand, and whether the product transposes it."""
_TOGETHER = 1024
"""Inputs multiplied at once."""


def input_grams(
    model: Path, requests: Iterable[Mapping[str, Any]], sites: Iterable[Site], *, threads: int = 1
) -> dict[str, np.ndarray]:
    """Return, by name of site, the sum of x xᵀ over all inputs x that its products had: float64 [K, K].

    The plain binding runs a copy of the model in which those inputs are outputs as well, one request at a time; only
    the sums are kept. Sites without a matrix product in the main graph have none, and weights with the same input share
    one array. Inputs that are not finite are left out.

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
    wanted = {operand for several in operands.values() for operand in several}
    given = {value.name for value in whole.graph.input}
    shown = given | {value.name for value in whole.graph.output}
    for name in sorted({name for name, _ in wanted} - shown):
        whole.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    sums: defaultdict[_Operand, _Sum] = defaultdict(_Sum)
    with tempfile.TemporaryDirectory(prefix="coldpress-gram-") as folder:
        path = Path(folder, "model.onnx")
        write_model(whole, path)
        del whole
        reference = Reference(path, threads=threads)
        for request in requests:
            values = {**request, **reference.run(request)}
            for name, turned in wanted:
                value = np.asarray(values[name])
                sums[name, turned].add(value.T if turned else value.reshape(-1, value.shape[-1]))
    totals = {operand: one.total() for operand, one in sums.items()}
    return {
        site: functools.reduce(np.add, [totals[operand] for operand in sorted(several)])
        for site, several in operands.items()
        if several <= totals.keys()
    }


def _operands(model: ModelProto, sites: Mapping[str, Site]) -> dict[str, set[_Operand]]:
    """Return the left operands of each site that products of the main graph read, and nothing else does."""
    constant = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, set[_Operand]] = {}
    for name, node in _products(model, sites):
        if node.input[0] not in constant:
            turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            found.setdefault(name, set()).add((node.input[0], turned))
    return found


def _products(model: ModelProto, sites: Mapping[str, Site]) -> Iterator[tuple[str, NodeProto]]:
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and len(node.input) > 1 and node.input[1] in sites:
            site = sites[node.input[1]]
            if site.role in ("matmul", "gemm") and len(site.shape) == 2:
                yield site.name, node


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
