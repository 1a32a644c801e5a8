"""The way out to a larger model, or to the same one on a GPU, when a request is too much for this function.

Nothing outside imports this package until a manifest says ``fallback``, and bundles without it do not ship it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.manifest import Manifest
    from coldpress_runtime.service import Service

__all__ = ["service_class"]


def service_class(manifest: Manifest) -> type[Service]:
    """The service of a bundle with an endpoint: with a model of its own, or without."""
    if manifest.model is None:
        from coldpress_runtime.fallback.remote import RemoteService  # noqa: PLC0415 - one of the two

        return RemoteService
    from coldpress_runtime.fallback.routed import RoutedService  # noqa: PLC0415 - the other

    return RoutedService
