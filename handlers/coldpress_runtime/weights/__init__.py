"""A model that is too large for the package: read into memory while the function starts, and used where it lies there.

Ships only in bundles whose manifest has ``weights``.
"""
