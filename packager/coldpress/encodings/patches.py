"""What each output of a convolution is a product of: the patches of its input, as rows of a matrix."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, helper

__all__ = ["patches"]


def patches(node: NodeProto, values: np.ndarray, kernel: tuple[int, ...], most: int = 1 << 30) -> np.ndarray | None:
    """Return float32 [positions, C * k...]: for each output position what the kernel of each channel meets there.

    Multiplied by the kernels, [out channels, C * k...] transposed, they are the convolution's outputs.

    Args:
        node: A Conv of the standard operator set.
        values: Its input, float32 [N, C, ...].
        kernel: The kernel's shape, [out channels, C, k...].
        most: Of more positions, so many are taken, evenly spread; the others are not laid out.

    Returns:
        None for a convolution in groups, whose output channels meet different inputs.
    """
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if given.get("group", 1) != 1:
        return None
    size = kernel[2:]
    strides: list[int] = given.get("strides") or [1] * len(size)
    dilations: list[int] = given.get("dilations") or [1] * len(size)
    reach = [dilation * (k - 1) + 1 for dilation, k in zip(dilations, size, strict=True)]
    padded = np.pad(values, [(0, 0), (0, 0), *_pads(given, values.shape[2:], reach, strides)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, tuple(range(2, 2 + len(size))))
    steps = tuple(slice(None, None, step) for step in (*strides, *dilations))
    met = np.moveaxis(windows[(slice(None), slice(None), *steps)], 1, 1 + len(size))  # [N, positions..., C, k...]
    positions = met.shape[: 1 + len(size)]
    count = int(np.prod(positions))
    taken = np.linspace(0, count - 1, most).astype(np.int64) if count > most else np.arange(count)
    laid_out: np.ndarray = met[np.unravel_index(taken, positions)].reshape(len(taken), -1)
    return laid_out


def _pads(
    given: Mapping[str, Any], shape: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int]]:
    """Return how many zeros stand before and after each dimension."""
    automatic = given.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        short = [
            max((-(-length // stride) - 1) * stride + width - length, 0)
            for length, stride, width in zip(shape, strides, reach, strict=True)
        ]
        halves = [(missing // 2, missing - missing // 2) for missing in short]
        return halves if automatic == b"SAME_UPPER" else [(after, before) for before, after in halves]
    pads = given.get("pads") if automatic == b"NOTSET" else None
    flat: list[int] = pads or [0] * (2 * len(reach))
    return list(zip(flat[: len(reach)], flat[len(reach) :], strict=True))
