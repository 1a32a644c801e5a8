"""The forms in which one model can ship, built as files that are the same every time."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress.errors import ModelError
from coldpress.forms.ort_format import canonical
from coldpress.forms.settle import graphs_of, settle
from coldpress.forms.trial import Opening, try_model
from coldpress.forms.unplanned import hide_shapes
from coldpress.forms.weights_apart import WEIGHTS, put_apart
from coldpress.model.files import model_files, read_model, write_model
from coldpress.model.packed import to_bytes
from coldpress_runtime.warmup import read_cpu_flags

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["FORMS", "Form", "build_forms", "cpu_flags"]

FORMS = (
    "onnx",
    "onnx-mapped",
    "onnx-optimized",
    "ort-mapped",
    "ort",
    "ort-mapped-unplanned",
    "ort-mapped-unpacked",
)
"""By name, the simplest first.

``onnx`` is the file as it is; ``onnx-mapped`` the same with its weights beside it, mapped into memory;
``onnx-optimized`` one file, optimised in advance as far as every CPU allows. ``ort-mapped`` is ORT format, fully
optimised and mapped; ``ort`` the same, read; ``ort-mapped-unplanned`` mapped, and its shapes hidden from the memory
planner (``coldpress.forms.unplanned``); ``ort-mapped-unpacked`` mapped, and its weights not laid out again for kernels.
"""

_BLOCKED = "com.microsoft.nchwc"
_NEEDED, _WIDE = ("avx2", "fma"), "avx512f"
"""MLAS cuts channels in blocks of 16 on x86 CPUs with AVX-512, else of 8 (core/mlas/lib/platform.cpp)."""


@dataclass(frozen=True)
class Form:
    """One built form.

    Attributes:
        name: One of ``FORMS``.
        file: The model's file.
        sidecars: Files beside it, by their path relative to its folder.
        opening: How to open it.
        cpu: Flags of ``/proc/cpuinfo`` that it needs, or with ``!`` must not meet; empty: any CPU will do.
        refused: Why it could not be built or must not ship; empty when it may.
    """

    name: str
    file: Path
    opening: Opening
    sidecars: Mapping[str, Path]
    cpu: tuple[str, ...] = ()
    refused: str = ""

    @property
    def bytes(self) -> int:
        """Bytes on disk, sidecars included."""
        return sum(file.stat().st_size for file in (self.file, *self.sidecars.values()) if file.exists())


def cpu_flags() -> frozenset[str]:
    """Return the flags of this machine's first CPU, empty where ``/proc/cpuinfo`` is not there."""
    return read_cpu_flags() or frozenset()


def build_forms(
    model: Path, folder: Path, names: tuple[str, ...], *, threads: int, library: Path, everywhere: bool = False
) -> Iterator[Form]:
    """Build the forms called ``names`` in ``folder``, simplest first; those of ORT format share one file.

    With ``everywhere`` that one runs on every CPU: it is optimised as far as this allows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, *others = model_files(model)
    sidecars = {Path(os.path.relpath(other, first.parent)).as_posix(): other for other in others}
    builder = _Builder(model, folder, library, everywhere=everywhere)
    for name in (name for name in FORMS if name in names):
        cpu: tuple[str, ...] = ()
        refused = ""
        if name == "onnx":
            yield Form(name, first, Opening(threads), sidecars)
            continue
        make, file = builder.ort, folder / "model.ort"
        beside: dict[str, Path] = {}
        if name == "onnx-mapped":
            make, file, beside = builder.apart, folder / "apart.onnx", {WEIGHTS: folder / WEIGHTS}
        elif name == "onnx-optimized":
            make, file = builder.optimized, folder / "optimized.onnx"
        elif name.endswith("-unplanned"):
            make, file = builder.unplanned, folder / "unplanned.ort"
        opening = Opening(
            threads,
            "all" if name.startswith("onnx") else "disabled",
            mapped=name.startswith("ort-mapped"),
            prepacking=not name.endswith("-unpacked"),
        )
        try:
            cpu = make(file)
        except (ModelError, OSError) as error:
            refused = str(error)
        yield Form(name, file, opening, beside, cpu, refused)


class _Builder:
    """Builds files from one model, each once."""

    def __init__(self, model: Path, folder: Path, library: Path, *, everywhere: bool) -> None:
        self._model = model
        self._folder = folder
        self._whole = folder / "all.onnx"
        self._library = library
        self._everywhere = everywhere
        self._ort: tuple[str, ...] | ModelError | None = None

    def apart(self, file: Path) -> tuple[str, ...]:
        """Write the model's weights into a file beside it, which ONNX Runtime maps into memory instead of copying."""
        model = read_model(self._whole_model())
        put_apart(model, file.parent / WEIGHTS)
        file.write_bytes(to_bytes(model))
        return ()

    def optimized(self, file: Path) -> tuple[str, ...]:
        """Write the model optimised at ``extended``, the last level whose result does not depend on the CPU."""
        self._save(self._whole_model(), file, "extended")
        settle(file)
        return ()

    def ort(self, file: Path) -> tuple[str, ...]:
        """Write the model in ORT format, optimised at ``all``; return the CPU flags that it needs."""
        if self._ort is None:
            try:
                self._ort = self._make_ort(file)
            except ModelError as error:
                self._ort = error
        if isinstance(self._ort, ModelError):
            raise self._ort
        return self._ort

    def unplanned(self, file: Path) -> tuple[str, ...]:
        """Write the same in ORT format with the shapes hidden from the memory planner."""
        import onnx

        cpu = self.ort(self._folder / "model.ort")
        hidden = self._folder / "hidden.onnx"
        model = onnx.load(self._whole)
        if not hide_shapes(model):
            raise ModelError("it has no input whose shape could be hidden from the memory planner")
        hidden.write_bytes(to_bytes(model))
        self._convert(hidden, file)
        return cpu

    def _make_ort(self, file: Path) -> tuple[str, ...]:
        self._save(self._whole_model(), self._whole, "all")
        whole = settle(self._whole)
        if self._everywhere and _is_bound(whole):
            self._save(self._whole_model(), self._whole, "extended")
            whole = settle(self._whole)
        cpu = _bound_to(whole)
        self._convert(self._whole, file)
        return cpu

    def _convert(self, model: Path, file: Path) -> None:
        """Write ``model`` in ORT format as it is."""
        self._save(model, file, "disabled", {"session.save_model_format": "ORT"})
        file.write_bytes(canonical(file.read_bytes()))

    def _whole_model(self) -> Path:
        """Return the model as one file: ONNX Runtime saves references to external data that lead nowhere."""
        if len(model_files(self._model)) == 1:
            return self._model
        single = self._folder / "single.onnx"
        if not single.exists():
            write_model(read_model(self._model), single)
        if len(model_files(single)) > 1:
            raise ModelError("it is too large for one file")
        return single

    def _save(self, model: Path, file: Path, level: str, config: Mapping[str, str] | None = None) -> None:
        opening = Opening(1, level, optimized_path=str(file), config=tuple((config or {}).items()))
        try_model(model, opening, library=self._library)
        if not file.exists():
            raise ModelError(f"ONNX Runtime wrote no {file.name} for {model.name}.")


def _bound_to(model: "ModelProto") -> tuple[str, ...]:
    """Return the CPU flags that a fully optimised model is bound to; ``!`` before one that the CPU must not have.

    Weights of convolutions are laid out in blocks of channels, and a CPU that uses blocks of another size would take
    them for something else.
    """
    if not _is_bound(model):
        return ()
    flags = cpu_flags()
    if not flags.issuperset(_NEEDED):
        raise ModelError("fully optimised, it is bound to CPUs like this machine's, and no flags tell which these are")
    return (*_NEEDED, _WIDE if _WIDE in flags else f"!{_WIDE}")


def _is_bound(model: "ModelProto") -> bool:
    return any(node.domain == _BLOCKED for graph in graphs_of(model.graph) for node in graph.node)
