"""How a weight is cut into groups that share a scale: output channels, or blocks within them."""

from typing import NamedTuple

import numpy as np

from coldpress.encodings.encoding import Site

__all__ = ["Blocks", "blocks_of", "channel_scale_shape", "channels", "from_channels"]


class Blocks(NamedTuple):
    """A weight's shape with the dimension that is cut split in two: ``shape[axis]`` weights share a scale."""

    shape: tuple[int, ...]
    axis: int

    @property
    def scales(self) -> tuple[int, ...]:
        """The shape of the scales, which multiplies ``shape``."""
        return (*self.shape[: self.axis], 1, *self.shape[self.axis + 1 :])

    def groups(self, weight: np.ndarray) -> np.ndarray:
        """Return ``weight`` as [groups, weights in a group], groups in the order of ``scales``."""
        return np.moveaxis(weight.reshape(self.shape), self.axis, -1).reshape(-1, self.shape[self.axis])

    def whole(self, groups: np.ndarray) -> np.ndarray:
        """Return what ``groups`` made [groups, weights in a group] in ``shape``."""
        moved = (*self.shape[: self.axis], *self.shape[self.axis + 1 :], self.shape[self.axis])
        return np.moveaxis(groups.reshape(moved), -1, self.axis)


def blocks_of(site: Site, most: int) -> Blocks:
    """Cut the weights of each output channel into blocks of up to ``most`` neighbours along what is summed over.

    The block is the largest divisor of the dimension, so that nothing is padded; where there is none of a quarter of
    ``most`` or more, the whole dimension is one block. A table's rows are cut, never what lies across rows.
    """
    before, channel, after = _around(site)
    inner, outer = _divisor(after, most), _divisor(before, most)
    if site.role in ("rows", "recurrent") or inner >= outer:
        size = inner if 4 * inner >= most else after
        return Blocks((before, channel, after // size, size), 3)
    size = outer if 4 * outer >= most else before
    return Blocks((before // size, size, channel, after), 1)


def channel_scale_shape(site: Site) -> tuple[int, ...]:
    """Return the shape of one scale an output channel; it multiplies ``site.shape``."""
    if site.axis is None:
        return ()
    lead = (site.shape[0],) if site.role == "recurrent" else ()
    return (*lead, site.shape[site.axis], *(1,) * (len(site.shape) - site.axis - 1))


def channels(site: Site, weight: np.ndarray) -> np.ndarray:
    """Return ``weight`` as [channels, weights in a channel], channels in the order of ``channel_scale_shape``."""
    before, channel, after = _around(site)
    apart = weight.reshape(before, channel, after)
    if site.role == "recurrent":
        return apart.reshape(-1, after)
    return apart.transpose(1, 0, 2).reshape(channel, -1)


def from_channels(site: Site, values: np.ndarray) -> np.ndarray:
    """Return what ``channels`` made [channels, weights in a channel] in ``site.shape``."""
    before, channel, after = _around(site)
    if site.role == "recurrent":
        return values.reshape(site.shape)
    return values.reshape(channel, before, after).transpose(1, 0, 2).reshape(site.shape)


def _around(site: Site) -> tuple[int, int, int]:
    """Return the number of values before, along and after the channel axis."""
    if site.axis is None:
        return 1, 1, site.elements
    before = int(np.prod(site.shape[: site.axis], dtype=np.int64))
    channel = site.shape[site.axis]
    return before, channel, site.elements // max(1, before * channel)


def _divisor(length: int, most: int) -> int:
    return next(size for size in range(min(length, most), 0, -1) if length % size == 0)
