"""From what the user named to a served function, and what the page is told of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coldpress.emulate.function import LocalFunction, start, target_of
from coldpress.emulate.process import unpacked
from coldpress.emulate.requests import manifest_of
from coldpress.errors import EmulateError
from coldpress.serve.about import about, warmup_data
from coldpress.serve.model import ModelFunction
from coldpress.serve.served import Served
from coldpress.targets import TARGETS

__all__ = ["TIMED", "opened"]

TIMED: Mapping[str, str] = {"COLDPRESS_SERVER_TIMING": "1"}
"""Asks the function to say in each answer how long its parts took."""


@contextmanager
def opened(build: Path, python: Path | None = None) -> Iterator[tuple[Served, dict[str, Any]]]:
    """Start what ``build`` names, for as long as the context lasts: a built function, or an ONNX file.

    Raises:
        EmulateError: it is neither, it holds no manifest, or it does not start.
        ColdpressError: the model does not open, or the manifest cannot be right.
    """
    if build.is_file() and build.suffix.lower() in {".onnx", ".ort"}:
        model = ModelFunction(build)
        with Served(lambda: model) as served:
            yield served, about(model, model.manifest, title="ONNX Runtime", log=False, warmup=None)
        return
    with unpacked(build) as folder:
        manifest = manifest_of(folder)
        if manifest is None:
            raise EmulateError(f"{build} holds no coldpress.json, so nothing says what it serves; pack it again.")
        limits = manifest.function

        def begin() -> LocalFunction:
            return start(
                folder, python=python, memory_mb=limits.memory_mb, timeout_s=limits.timeout_s, environment=TIMED
            )

        with Served(begin) as served:
            told = about(
                served.first,
                manifest,
                title=TARGETS[target_of(folder)].title,
                log=True,
                warmup=warmup_data(folder, manifest),
            )
            yield served, told
