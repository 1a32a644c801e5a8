"""The side of coldpress that runs on your machine: shrink, bundle, verify, render."""

from coldpress_runtime import __version__

__all__ = ["__version__"]
