"""A model opened with ONNX Runtime's shared library and nothing else: no numpy, no Python binding of ONNX Runtime.

>>> with Session("model.onnx") as session:
...     answer = session.run({"x": Tensor.from_flat("FP32", (1, 2), [1.0, 2.0])})
"""

from __future__ import annotations

import ctypes
import os
import sys

from coldpress_runtime.capi import address_of, load
from coldpress_runtime.errors import LoadError, RunError
from coldpress_runtime.library import find_library
from coldpress_runtime.refused import complaint, plain
from coldpress_runtime.signature import ValueInfo, read_metadata, read_signature
from coldpress_runtime.values import read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from coldpress_runtime.capi import Api

__all__ = ["Session", "SessionOptions", "ValueInfo", "find_library"]

_LEVELS = {"disabled": 0, "basic": 1, "extended": 2, "all": 99}  # enum GraphOptimizationLevel
_SILENT = 4  # ORT_LOGGING_LEVEL_FATAL


class SessionOptions:
    """How to open a model.

    Args:
        threads: threads for the work inside an operator; operators run one after the other.
        optimization: ``all``, ``extended``, ``basic`` or ``disabled``.
        mapped: use the weights of an ORT-format file where they lie: a file is mapped into memory instead of read, and
            a buffer, which must be writable, is kept.
        prepacking: lay weights out again for faster kernels, at the cost of time to open and of memory.
        optimized_path: also write the optimised model to this path.
        config: further session configuration entries of ONNX Runtime, by key.
    """

    __slots__ = ("config", "mapped", "optimization", "optimized_path", "prepacking", "threads")

    def __init__(
        self,
        threads: int = 1,
        optimization: str = "all",
        mapped: bool = False,
        prepacking: bool = True,
        optimized_path: str | None = None,
        config: Mapping[str, str] | None = None,
    ) -> None:
        if optimization not in _LEVELS:
            raise ValueError(f"found optimization {optimization!r}, expected one of {', '.join(_LEVELS)}")
        self.threads = threads
        self.optimization = optimization
        self.mapped = mapped
        self.prepacking = prepacking
        self.optimized_path = optimized_path
        self.config = dict(config) if config else {}


class _Handle:
    """A session of the C API: released when the last user, a run under way included, lets go of it."""

    __slots__ = ("address", "buffer", "release")

    def __init__(self, address: int, release: Any, buffer: Any) -> None:
        self.address = address
        self.release = release
        self.buffer = buffer  # memory that the session reads its weights from

    def __del__(self) -> None:
        self.release(self.address)


class Session:
    """An open model; ``run`` may be called from several threads at once.

    Args:
        model: path of an ONNX or ORT-format file, or a buffer that holds one. External data is found beside a path.
        options: see ``SessionOptions``.
        library: passed to ``find_library``.

    Attributes:
        inputs: what the model takes, in its order.
        outputs: what it gives.
        library_version: ONNX Runtime's version, such as ``1.31.1``.

    Raises:
        LibraryError: no usable library.
        LoadError: the library will not open the model.
    """

    def __init__(self, model: Any, options: SessionOptions | None = None, library: str | None = None) -> None:
        self._api = api = load(find_library(library))
        self._handle: _Handle | None = _open(api, model, options or SessionOptions())
        self.library_version = api.version
        self.inputs = read_signature(api, self._handle.address, "Input")
        self.outputs = read_signature(api, self._handle.address, "Output")
        self._by_name = {info.name: info for info in self.inputs}
        self._output_names = tuple(info.name for info in self.outputs)
        self._names: dict[tuple[str, ...], tuple[Any, Any]] = {}  # names -> char*[], and the type of their values

    @property
    def metadata(self) -> dict[str, str]:
        """The model's custom metadata."""
        return read_metadata(self._api, self._open_handle().address)

    def close(self) -> None:
        """Let go of the model. Runs under way finish first; later ones raise RunError. Closing twice is fine."""
        self._handle = None

    def __enter__(self) -> Session:  # noqa: PYI034  (typing.Self is not loaded at start)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """Return the model's outputs for ``inputs``.

        A value is a ``Tensor``; a list of values for a sequence; a dict for a map; None for an empty optional.

        Args:
            inputs: values by input name. Tensors' memory is read where it is.
            outputs: names of the outputs to compute; all by default.

        Raises:
            RunError: a name, datatype or shape is wrong, the model cannot run on these values, or it was closed.
        """
        handle = self._open_handle()
        api = self._api
        infos = self._by_name
        wanted = self._output_names if outputs is None else tuple(outputs)
        made: list[int] = []
        kept: list[Any] = []
        try:
            # An empty optional is one that is not fed.
            fed = {
                name: write(api, value, infos.get(name), made, kept)
                for name, value in inputs.items()
                if value is not None
            }
            names_in, values_in = self._arrays(tuple(fed))
            names_out, values_out = self._arrays(wanted)
            given, answers = values_in(*fed.values()), values_out()
            status = api.Run(handle.address, None, names_in, given, len(fed), names_out, len(wanted), answers)
            if status:
                raise RunError(complaint(api.message(status), inputs, self.inputs, wanted, self._output_names))
        finally:
            release = api.ReleaseValue
            for value in made:
                release(value)
        found = {}
        try:
            for place, name in enumerate(wanted):
                value, answers[place] = answers[place], None
                found[name] = read(api, value)
        finally:
            for value in answers:  # those left when reading one of them failed
                if value:
                    api.ReleaseValue(value)
        return found

    def _open_handle(self) -> _Handle:
        handle = self._handle
        if handle is None:
            raise RunError("This session is closed; open the model again to run it.")
        return handle

    def _arrays(self, names: tuple[str, ...]) -> tuple[Any, Any]:
        """Return ``names`` as char*[], and the type of an array of as many values."""
        arrays = self._names.get(names)
        if arrays is None:
            if len(self._names) > 100:  # a caller who asks for ever new names shall not fill the memory
                self._names.clear()
            encoded = [name.encode("utf-8", "surrogateescape") for name in names]
            arrays = self._names[names] = (
                (ctypes.c_char_p * len(names))(*encoded),
                ctypes.c_void_p * len(names),
            )
        return arrays


def _open(api: Api, model: Any, options: SessionOptions) -> _Handle:
    path = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    buffer = None if path is not None else memoryview(model)
    name = os.path.basename(path) if path is not None else "The model"
    if path is not None and not os.path.isfile(path):
        raise LoadError(f"{name} is not there, expected a model file; check the path.")
    config = {"session.intra_op.allow_spinning": "0"}
    if not options.prepacking:
        config["session.disable_prepacking"] = "1"
    if options.mapped:
        buffer = _map(path) if path is not None else buffer
        if buffer is None or bytes(buffer[4:8]) != b"ORTM":
            raise LoadError(f"{name} is not in ORT format, which mapping needs; open it with mapped=False.")
        config["session.use_ort_model_bytes_directly"] = "1"
        config["session.use_ort_model_bytes_for_initializers"] = "1"
    config.update(options.config)
    address, session = ctypes.c_void_p(), ctypes.c_void_p()
    api.check(api.CreateSessionOptions(ctypes.byref(address)))
    try:
        api.check(api.SetSessionLogSeverityLevel(address, _SILENT))
        api.check(api.SetSessionGraphOptimizationLevel(address, _LEVELS[options.optimization]))
        api.check(api.SetIntraOpNumThreads(address, options.threads))
        api.check(api.SetInterOpNumThreads(address, 1))
        # A memory pattern is kept for every new shape of the inputs, without end: 38 KB each for a small transformer,
        # and callers choose the shapes. Without them: the same answers, up to 3 % slower, a few MB less at the peak.
        api.check(api.DisableMemPattern(address))
        if options.optimized_path is not None:
            api.check(api.SetOptimizedModelFilePath(address, _native(options.optimized_path)))
        for key, value in config.items():
            api.check(api.AddSessionConfigEntry(address, key.encode(), value.encode()))
        if buffer is None:
            status = api.CreateSession(api.env, _native(path), address, ctypes.byref(session))
        else:
            status = api.CreateSessionFromArray(
                api.env, address_of(buffer), len(buffer), address, ctypes.byref(session)
            )
        if status:
            raise LoadError(f"{name} does not open: {plain(api.message(status), path)}")
    finally:
        api.ReleaseSessionOptions(address)
    return _Handle(session.value or 0, api.ReleaseSession, buffer if options.mapped else None)


def _map(path: str) -> memoryview:
    """Map a file; what the process writes there stays in the process."""
    import mmap  # noqa: PLC0415  (only bundles with a mapped model pay for it)

    with open(path, "rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if os.path.getsize(path) else b"")


def _native(path: Any) -> Any:
    """A path as ORTCHAR_T*: UTF-16 on Windows, bytes elsewhere."""
    return path if sys.platform == "win32" else os.fsencode(path)
