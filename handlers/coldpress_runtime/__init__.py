"""The side of coldpress that ships inside a function.

It imports nothing but the standard library when a function starts, and never the packager. Everything here is
copied into a bundle byte for byte, under the same name.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
