"""Fixtures that several rooms share."""

from tests.support.packing import digits, digits_bundle

__all__ = ["digits", "digits_bundle"]
