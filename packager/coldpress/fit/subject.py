"""What is to be compared: a bundle, measured under its provider's own runtime, or a model that is no bundle yet."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coldpress._resources import runtime_root
from coldpress.bundle.wheels import engine_pins
from coldpress.config import FunctionConfig
from coldpress.console import progress
from coldpress.emulate.function import target_of
from coldpress.emulate.http import Reply
from coldpress.emulate.process import locate, target_minor, unpacked
from coldpress.emulate.requests import manifest_of, request_from_file, warmup_request
from coldpress.errors import FitError
from coldpress.fit.compare import Subject
from coldpress.fit.cost import Load
from coldpress.fit.sizes import Entry, Sizes, kind_of, measure_sizes
from coldpress.machine import own_architecture
from coldpress.measure import sample

if TYPE_CHECKING:
    from coldpress_runtime.manifest import Manifest

__all__ = ["read_subject"]

_ROUNDS = 3
_WARM, _WARM_MS = 25, 500.0
_DEFAULTS = FunctionConfig()


def read_subject(path: Path, request: Path | None = None) -> Subject:
    """Measure a build, or a model.

    Args:
        path: what ``coldpress pack`` wrote, a zip, an unpacked function, or an ``.onnx`` file.
        request: for a build, a file whose bytes are the body; None sends the inputs of the warm-up.

    Raises:
        FitError: there is nothing at ``path``, or it cannot be measured so.
        PackError: it does not start, open or answer.
    """
    if not path.exists():
        raise FitError(f"There is no {path}; give a build (build/aws) or a model (.onnx).")
    if path.suffix.lower() != ".onnx":
        return _read_build(path, request)
    if request is not None:
        raise FitError(f"{path} is a model, and --request is a body for a built function; pack it, or leave it out.")
    return _read_model(path)


def _read_build(build: Path, body: Path | None) -> Subject:
    with unpacked(build) as folder:
        manifest = manifest_of(folder)
        if manifest is None:
            raise FitError(f"{build} holds no coldpress.json: expected what `coldpress pack` wrote; pack it again.")
        if manifest.fallback is not None and manifest.fallback.remote:
            raise FitError(f"{build} has no model of its own: its endpoint does. Give the model to measure it.")
        architecture = _architecture(build, manifest)
        request = warmup_request(folder, manifest) if body is None else request_from_file(body, manifest)
        with progress(f"start {build} {_ROUNDS} times"):
            memory_mb = manifest.function.memory_mb
            runs = [sample(folder, request, memory_mb=memory_mb, check=_check) for _ in range(_ROUNDS + 1)]
        minor = target_minor(folder)
    figures = [(run.warm_ms, run.first_ms, run.init_ms, run.peak_mb) for run in runs[1:]]  # the first fills caches
    warm, first, init, peak_mb = _medians(figures)
    return Subject(
        name=str(build),
        target=target_of(build),
        sizes=measure_sizes(locate(build)),
        python=minor or _DEFAULTS.python,
        architecture=architecture,
        memory_mb=memory_mb,
        timeout_s=manifest.function.timeout_s,
        load=Load(warm, first, init),
        peak_mb=peak_mb,
    )


def _architecture(build: Path, manifest: "Manifest") -> str:
    """Tell what a bundle's engine is for, by its hash, and refuse what cannot be started here."""
    known = {pin["sha256"]: name for name, pin in engine_pins().items() if isinstance(pin, dict) and "sha256" in pin}
    here = own_architecture()
    architecture = known.get(manifest.engine.sha256, here)
    if architecture != here:
        raise FitError(
            f"{build} is for {architecture} and this machine is {here}, so it cannot be measured here; give the model "
            "instead, or run this on such a machine."
        )
    return architecture


def _check(reply: Reply) -> None:
    if not 200 <= reply.status < 300:
        said = reply.body[:200].decode("utf-8", "replace")
        raise FitError(
            f"The function answered {reply.status} to this request ({said}); measure one that it takes, with --request."
        )


def _read_model(path: Path) -> Subject:
    from coldpress.forms.trial import Opening, try_model  # noqa: PLC0415  (all of these bring onnx and numpy)
    from coldpress.model.engine_check import check_opens  # noqa: PLC0415
    from coldpress.model.files import model_bytes, read_model  # noqa: PLC0415
    from coldpress.reference import Reference  # noqa: PLC0415
    from coldpress.samples.synthesis import synthesize  # noqa: PLC0415
    from coldpress_runtime.library import find_library  # noqa: PLC0415

    with progress(f"read {path.name} and find an input that it runs on"):
        check_opens(read_model(path), path)
        requests = synthesize(Reference(path)).requests[:1]
    library = Path(find_library())
    with progress(f"start {path.name} {_ROUNDS} times"):
        trials = [
            try_model(path, Opening(), requests, library=library, warm=_WARM, warm_ms=_WARM_MS) for _ in range(_ROUNDS)
        ]
    warm, first, init, peak_mb = _medians(
        [(t.warm_wall_ms, t.first_wall_ms, t.cold_wall_ms - t.first_wall_ms, t.peak_mb) for t in trials]
    )
    return Subject(
        name=str(path),
        target=None,
        sizes=_sizes_around(path.name, model_bytes(path), _DEFAULTS.architecture),
        python=_DEFAULTS.python,
        architecture=_DEFAULTS.architecture,
        memory_mb=_DEFAULTS.memory_mb,
        timeout_s=_DEFAULTS.timeout_s,
        load=Load(warm, first, init),
        peak_mb=peak_mb,
    )


def _sizes_around(name: str, size: int, architecture: str) -> Sizes:
    """Return the sizes of the bundle that a model would be in: the engine, the runtime, and the file as it is."""
    runtime = [(f"coldpress_runtime/{path.name}", path.stat().st_size) for path in sorted(runtime_root().glob("*.py"))]
    engine = (f"lib/{Path(engine_pins()[architecture]['path']).name}", engine_pins()[architecture]["bytes"])
    files = [*runtime, engine, (f"model/{name}", size)]
    return Sizes(tuple(Entry(path, count, 0, kind_of(path)) for path, count in files), None)


def _medians(runs: Sequence[tuple[float, ...]]) -> list[float]:
    return [statistics.median(column) for column in zip(*runs, strict=True)]
