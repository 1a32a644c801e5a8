"""``coldpress.json``: the whole contract between the packager, which writes it, and the runtime, which reads it.

Reading is strict. An unknown key, a missing one, a value of the wrong kind or a path that leaves the bundle is a
:class:`~coldpress_runtime.errors.ManifestError` which says where, what was expected and what was found: a typing
error in a manifest must show at start, not as a wrong answer. ``Manifest.parse(m.to_dict()) == m`` for every
manifest.
"""

from __future__ import annotations

import json

from coldpress_runtime.errors import ManifestError
from coldpress_runtime.record import (
    REMEDY,
    Record,
    any_text,
    boolean,
    error,
    integer,
    list_of,
    or_null,
    path,
    sha256,
    text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from coldpress_runtime.batch.settings import Batch
    from coldpress_runtime.fallback.settings import Fallback
    from coldpress_runtime.weights.settings import Weights

__all__ = [
    "FORMAT",
    "Engine",
    "Function",
    "Limits",
    "Manifest",
    "Model",
    "Warmup",
    "WarmupInput",
]

#: The version of the manifest's own layout.
FORMAT = 1

_OPTIMIZATIONS = ("all", "extended", "basic", "disabled")
_MAX_BYTES = 1 << 40  # a limit above a terabyte is a slip of the pen


def _optimization(value: Any, where: str) -> str:
    if value not in _OPTIMIZATIONS:
        raise error(where, "one of " + ", ".join(_OPTIMIZATIONS), value)
    return str(value)


def _format(value: Any, where: str) -> int:
    if type(value) is not int or value != FORMAT:
        raise error(where, f"{FORMAT}, the layout that this runtime reads", value)
    return value


def _batch(value: Any, where: str) -> Batch:
    from coldpress_runtime.batch.settings import Batch  # noqa: PLC0415 - it ships where there are batches

    return Batch.read(value, where)


def _fallback(value: Any, where: str) -> Fallback:
    from coldpress_runtime.fallback.settings import Fallback  # noqa: PLC0415 - it ships where there is an endpoint

    return Fallback.read(value, where)


def _weights(value: Any, where: str) -> Weights:
    from coldpress_runtime.weights.settings import Weights  # noqa: PLC0415 - it ships where the model does not

    return Weights.read(value, where)


class Engine(Record):
    """The ONNX Runtime library in the bundle: its path, version and SHA-256.

    The hash is there for audits and for the packager's verification. It is not computed at start: reading 29 MB
    again would cost more than opening the library does.
    """

    __slots__ = ("library", "version", "sha256")  # noqa: RUF023 - the order is that of the file
    READERS = (path, text, sha256)
    library: str
    version: str
    sha256: str


class Model(Record):
    """A model file and how to open it.

    ``cpu`` lists the flags of ``/proc/cpuinfo`` that the file needs, because it was optimised for them, and those that
    must not be there, with ``!`` before them; an empty list means that every CPU will do.
    """

    __slots__ = ("path", "sha256", "optimization", "mapped", "prepacking", "cpu")  # noqa: RUF023
    READERS = (path, sha256, _optimization, boolean, boolean, list_of(text))
    path: str
    sha256: str
    optimization: str
    mapped: bool
    prepacking: bool
    cpu: tuple[str, ...]


class WarmupInput(Record):
    """Name, datatype (as the Open Inference Protocol spells it) and shape of one input of the warm-up run."""

    __slots__ = ("name", "datatype", "shape")  # noqa: RUF023
    READERS = (any_text, text, list_of(integer(0, 1 << 31)))
    name: str
    datatype: str
    shape: tuple[int, ...]


class Warmup(Record):
    """The inputs of the run that warms the session up.

    ``data`` is a file of the inputs' bytes one after the other, in the binary layout of the protocol; None stands
    for zeros and empty texts.
    """

    __slots__ = ("inputs", "data")  # noqa: RUF023
    READERS = (list_of(WarmupInput.read), or_null(path))
    inputs: tuple[WarmupInput, ...]
    data: str | None


class Limits(Record):
    """Largest request and response bodies in bytes; requests count after decompression."""

    __slots__ = ("request_bytes", "response_bytes")
    READERS = (integer(1, _MAX_BYTES), integer(1, _MAX_BYTES))
    request_bytes: int
    response_bytes: int


class Function(Record):
    """What the function was packed for: memory in MB, time limit in seconds."""

    __slots__ = ("memory_mb", "timeout_s")
    READERS = (integer(1, 1 << 24), integer(1, 1 << 24))
    memory_mb: int
    timeout_s: int


class Manifest(Record):
    """The whole of ``coldpress.json``.

    ``portable`` is opened instead of ``model`` when this machine's CPU lacks a flag in ``model.cpu``, or when
    ``model`` will not open. ``hooks`` is a Python file with ``preprocess`` and ``postprocess``. ``batch`` is there in
    bundles that score uploads row by row, ``fallback`` in those that ask an endpoint. ``engine``, ``model`` and
    ``warmup`` are None exactly where that endpoint alone has the model; nobody opens a session there. ``weights`` says
    where the file of ``model`` lies when it is not in the bundle; it is in ORT format, and used where it is read to.
    """

    __slots__ = (  # noqa: RUF023
        "format", "name", "version", "engine", "model", "portable", "threads", "warmup", "hooks", "limits", "function",
        "batch", "fallback", "weights",
    )  # fmt: skip
    READERS = (
        _format, text, text, or_null(Engine.read), or_null(Model.read), or_null(Model.read), integer(1, 1024),
        or_null(Warmup.read), or_null(path), Limits.read, Function.read, or_null(_batch), or_null(_fallback),
        or_null(_weights),
    )  # fmt: skip
    format: int
    name: str
    version: str
    engine: Engine
    model: Model
    portable: Model | None
    threads: int
    warmup: Warmup
    hooks: str | None
    limits: Limits
    function: Function
    batch: Batch | None
    fallback: Fallback | None
    weights: Weights | None

    def check(self) -> None:
        """Check whether there is a model, the stand-in model and the warm-up's names."""
        remote = self.fallback is not None and self.fallback.remote
        for name in ("engine", "model", "warmup"):
            if (getattr(self, name) is None) != remote:
                raise error(name, "null" if remote else "an object", getattr(self, name))
        if remote:
            for name in ("portable", "batch", "weights"):
                if getattr(self, name) is not None:
                    raise error(name, "null, because the model is not in the bundle", getattr(self, name))
            return
        if self.portable is not None and self.portable.cpu:
            raise error("portable.cpu", "an empty list, because nothing stands behind it", list(self.portable.cpu))
        if self.weights is not None:
            if not self.model.mapped or self.model.cpu or self.portable is not None or self.batch is not None:
                raise error("weights", "null, or a mapped model for every CPU, and no batch", self.weights.url)
            if self.weights.sha256 != self.model.sha256:
                raise error("weights.sha256", "the one of model", self.weights.sha256)
        names = [item.name for item in self.warmup.inputs]
        if len(set(names)) != len(names):
            raise error("warmup.inputs", "each input once", names)

    @classmethod
    def parse(cls, document: Any) -> Manifest:
        """Read a manifest from a parsed JSON document; raises ManifestError."""
        return cls.read(document, "")

    @classmethod
    def load(cls, path: str) -> Manifest:
        """Read a manifest from a file; raises ManifestError, also when the file is missing or is not JSON."""
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as problem:
            raise ManifestError(
                f"coldpress.json cannot be read ({problem.strerror}); it must lie at the root of the bundle."
            ) from None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise ManifestError(f"coldpress.json is not JSON ({problem}); {REMEDY}") from None
        return cls.parse(document)
