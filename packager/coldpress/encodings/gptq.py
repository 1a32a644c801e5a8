"""Rounding that keeps answers rather than weights: GPTQ (Frantar et al., 2022, arXiv:2210.17323).

Let G be the sum of x xᵀ over inputs x of a product. Replacing a row w by v changes its answers by (w - v)ᵀ G (w - v)
in all, summed squares. Weights are rounded one input channel after another, and each time those not yet rounded are
moved so as to make up for the error as well as they can; that follows from the Cholesky factor of the inverse of G.
"""

import numpy as np

__all__ = ["answer_error", "round_for_inputs"]

_DAMPING = 0.01
"""Added to the diagonal of the Gram matrix, as a share of its mean: the inputs seen are a sample."""
_TOGETHER = 128
"""Channels whose errors are passed on at once to those beyond them."""


def round_for_inputs(
    rows: np.ndarray, gram: np.ndarray, scales: np.ndarray, zeros: np.ndarray, block: int, bits: int
) -> np.ndarray:
    """Return codes, uint8 [N, K], of ``rows`` with the scales given: weight ``scale * (code - zero)``.

    Args:
        rows: float32 [N, K], a row for each output channel.
        gram: float64 [K, K], the sum of x xᵀ over inputs.
        scales: float32 [N, ceil(K / block)], one for each block of a row.
        zeros: The code that stands for zero, likewise.
        block: Weights that share a scale.
        bits: Codes go from 0 to 2**bits - 1.
    """
    order = np.argsort(-np.diag(gram), kind="stable")  # what weighs most is rounded first, while much can make up
    factor = _factor(gram[np.ix_(order, order)])
    top = np.float32((1 << bits) - 1)
    left = np.ascontiguousarray(rows.T[order])
    steps, offsets = scales.T[order // block], zeros.T[order // block].astype(np.float32)
    steps = np.where(steps == 0, np.float32(1), steps)
    codes = np.empty(left.shape, np.float32)
    for start in range(0, len(left), _TOGETHER):
        stop = min(start + _TOGETHER, len(left))
        errors = np.empty((stop - start, left.shape[1]), np.float32)
        for k in range(start, stop):
            codes[k] = np.clip(np.rint(left[k] / steps[k]) + offsets[k], 0, top)
            errors[k - start] = (left[k] - steps[k] * (codes[k] - offsets[k])) / factor[k, k]
            left[k + 1 : stop] -= factor[k, k + 1 : stop, None] * errors[k - start]
        left[stop:] -= factor[start:stop, stop:].T @ errors
    result = np.empty(rows.shape, np.uint8)
    result[:, order] = codes.T
    return result


def answer_error(rows: np.ndarray, rounded: np.ndarray, gram: np.ndarray) -> float:
    """Return how far answers move, as a share of their size: root of summed squares over all inputs and rows."""
    gap = (rows - rounded).astype(np.float64)
    whole = rows.astype(np.float64)
    moved, size = (float(np.einsum("nk,nk->", part @ gram, part)) for part in (gap, whole))
    return (max(moved, 0.0) / size) ** 0.5 if size else 0.0


def _factor(gram: np.ndarray) -> np.ndarray:
    """Return the upper Cholesky factor of the inverse of the damped matrix, float32."""
    damped = gram.astype(np.float64)
    diagonal = np.diag(damped).copy()
    mean = float(diagonal.mean()) or 1.0
    np.fill_diagonal(damped, np.where(diagonal == 0, mean, diagonal) + _DAMPING * mean)
    upper: np.ndarray = np.linalg.cholesky(np.linalg.inv(damped)).T
    return upper.astype(np.float32)
