"""Which model file to open on this machine, and how."""

from __future__ import annotations

import os
import sys

from coldpress_runtime.errors import LoadError
from coldpress_runtime.library import find_library
from coldpress_runtime.ort import Session, SessionOptions
from coldpress_runtime.warmup import lacks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.manifest import Manifest, Model

__all__ = ["library_path", "open_session"]


def library_path(root: str, manifest: Manifest) -> str:
    """Where the bundle's engine is; raises LibraryError when it is not there."""
    return find_library(os.path.join(root, *manifest.engine.library.split("/")))


def open_session(root: str, manifest: Manifest, library: str) -> tuple[Session, bool]:
    """Open the model, or the portable one where the model does not suit this machine; the flag says which.

    Raises LibraryError or LoadError, or WeightsError where the model does not lie in the bundle.
    """
    missing = lacks(manifest.model.cpu)
    if manifest.portable is None:
        if missing:  # to try would end the process with an illegal instruction
            raise LoadError(
                f"The model was optimised for CPUs with {', '.join(missing)}, this one shows none, and the bundle "
                "has no portable model; pack the function again."
            )
        return _session(root, manifest.model, manifest, library), False
    if missing:
        sys.stderr.write(f"coldpress: this CPU lacks {', '.join(missing)}; opening the portable model.\n")
        return _session(root, manifest.portable, manifest, library), True
    try:
        return _session(root, manifest.model, manifest, library), False
    except LoadError as error:
        sys.stderr.write(f"coldpress: {error} Opening the portable model instead.\n")
        return _session(root, manifest.portable, manifest, library), True


def _session(root: str, model: Model, manifest: Manifest, library: str) -> Session:
    options = SessionOptions(
        threads=manifest.threads,
        optimization=model.optimization,
        mapped=model.mapped,
        prepacking=model.prepacking,
    )
    if manifest.weights is not None:
        from coldpress_runtime.weights.read import read_weights  # noqa: PLC0415 - most bundles hold their model

        return Session(read_weights(manifest), options, library=library)
    path = os.path.join(root, *model.path.split("/"))
    return Session(path, options, library=library)
