"""The way out to a larger model, or to the same one on a GPU, when a request is too much for this function.

Nothing outside imports this package until a manifest says ``fallback``, and bundles without it do not ship it.
"""
