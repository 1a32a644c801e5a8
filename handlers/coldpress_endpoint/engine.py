"""One open model: an ONNX Runtime session on the best provider that works here, and arrays in and out of it."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from coldpress_endpoint.settings import PROVIDERS
from coldpress_endpoint.signature import Signature, read_signature
from coldpress_runtime.errors import EngineError, LoadError, RunError
from coldpress_runtime.refused import complaint, plain
from coldpress_runtime.tensor import BY_ONNX, DType, Tensor

__all__ = ["Engine", "has_open_lengths", "is_lost"]

Arrays = dict[str, Any]


class Engine:
    """A model opened from a file; ``run`` may be called from several threads at once, and gives up the GIL.

    Args:
        path: of the ONNX file; external data lies beside it.
        providers: names from the settings, in order of preference. One that does not work here costs a line of log;
            TensorRT is passed over for models with open axes behind the first, if there is another.
        threads: threads inside an operator, for what runs on the CPU.
        cache: the folder in which TensorRT keeps what it has built.

    Attributes:
        inputs: what the model takes, in its order.
        outputs: what it gives.
        provider: the one that was chosen: ``tensorrt``, ``cuda`` or ``cpu``.

    Raises:
        LoadError: no provider opens the model.
    """

    def __init__(self, path: str, providers: Sequence[str] = ("cpu",), threads: int = 1, cache: str = "") -> None:
        self._session, self.provider = _open(path, providers, threads, cache)
        self.inputs: list[Signature] = read_signature(self._session.get_inputs())
        self.outputs: list[Signature] = read_signature(self._session.get_outputs())
        self._names = [output.name for output in self.outputs]
        tensors = [each.info for each in (*self.inputs, *self.outputs) if each.info.kind == "tensor"]
        #: Types that numpy lacks go in and out as bytes: then every value does, as ONNX Runtime's own.
        self._narrow = any(info.dtype is None or _lacks(info.dtype) for info in tensors)
        self._dtypes = {each.name: each.info.dtype for each in self.inputs}

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> Arrays:
        """Return the model's outputs for ``inputs``, by name and in the order asked for.

        Tensors are numpy arrays of the datatype's ``DType.numpy`` (``BF16`` as float32; ``BYTES`` as objects that are
        ``str``), sequences are lists, maps are dicts, and an optional that is absent is None.

        Args:
            inputs: values by input name; arrays that lie in one piece are not copied.
            outputs: names of those to compute; all by default.

        Raises:
            RunError: the model cannot run on these values.
            EngineError: the GPU has failed; nothing will run in this process any more.
        """
        names = self._names if outputs is None else list(outputs)
        try:
            if self._narrow:
                return self._run_narrow(inputs, names)
            return dict(
                zip(names, self._session.run(names, inputs if type(inputs) is dict else dict(inputs)), strict=True)
            )
        except _REFUSALS as error:
            message = str(error)
            if is_lost(message):
                raise EngineError(f"The GPU has failed, and this process with it: {plain(message)}") from None
            raise RunError(self._complaint(message, inputs, names)) from None

    def _run_narrow(self, inputs: Mapping[str, Any], names: list[str]) -> Arrays:
        feeds = {name: _to_value(array, self._dtypes.get(name)) for name, array in inputs.items()}
        values = self._session.run_with_ort_values(names, feeds)
        return {name: _from_value(value) for name, value in zip(names, values, strict=True)}

    def _complaint(self, message: str, inputs: Mapping[str, Any], names: list[str]) -> str:
        given = {
            name: Tensor.from_numpy(value, self._dtypes.get(name)) if isinstance(value, np.ndarray) else value
            for name, value in inputs.items()
        }
        return complaint(message, given, [each.info for each in self.inputs], names, self._names)


_SILENT = 4  # ORT_LOGGING_LEVEL_FATAL: what goes wrong is raised, and told here
_absent: set[str] = set()  # providers of which it was told that they do not load

#: What ONNX Runtime's binding raises: its own classes, which share no base but Exception, and Python's.
_REFUSALS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    TypeError,
    *(
        kind
        for kind in vars(ort.capi.onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)


def is_lost(message: str) -> bool:
    """Whether ONNX Runtime speaks of a GPU that failed under it, which only another process gets over.

    Too little memory is not of that kind: a smaller request runs.
    """
    failed = any(word in message for word in ("CUDA failure", "CUDA error", "CUDNN failure", "CUBLAS failure"))
    return failed and "out of memory" not in message


def has_open_lengths(inputs: Sequence[Signature]) -> bool:
    """Whether an axis behind the first is open: TensorRT builds for minutes for a longer one, as callers wait."""
    return any(-1 in each.shape[1:] for each in inputs)


def _lacks(dtype: DType) -> bool:
    """Whether numpy has no such type."""
    return dtype.name != "BYTES" and np.dtype(dtype.numpy).itemsize * 8 != dtype.bits


def _open(path: str, providers: Sequence[str], threads: int, cache: str) -> tuple[Any, str]:
    """Open a session; what a GPU's provider does not take falls to the next ones, within the same session."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = _SILENT
    ort.set_default_logger_severity(_SILENT)
    there = ort.get_available_providers()
    wanted = [provider for provider in providers if PROVIDERS[provider] in there]
    reason = f"none of the providers {', '.join(providers)} is in this build of ONNX Runtime."
    while wanted:
        configured = [_configured(PROVIDERS[provider], cache) for provider in wanted]
        try:
            session = ort.InferenceSession(path, options, configured, enable_fallback=0)
        except _REFUSALS as error:
            failed = wanted.pop(0)
            reason = plain(str(error), path)
            if wanted:
                sys.stderr.write(f"coldpress: {failed} does not open {os.path.basename(path)}: {reason}\n")
            continue
        loaded = session.get_providers()  # without those whose libraries are missing
        for provider in wanted:
            if PROVIDERS[provider] not in loaded and provider not in _absent:
                _absent.add(provider)
                sys.stderr.write(f"coldpress: the libraries of {provider} do not load here, so it is passed over.\n")
        found = [provider for provider in wanted if PROVIDERS[provider] in loaded]
        if found[:1] == ["tensorrt"] and found[1:] and has_open_lengths(read_signature(session.get_inputs())):
            wanted = found[1:]
            sys.stderr.write(f"coldpress: TensorRT would build {os.path.basename(path)} again for each new length.\n")
            continue
        if found:
            return session, found[0]
        reason = f"the libraries of {', '.join(wanted)} do not load here."
        break
    raise LoadError(f"{os.path.basename(path)} cannot be opened: {reason}")


def _configured(provider: str, cache: str) -> str | tuple[str, dict[str, str]]:
    """A provider with its options: TensorRT builds an engine for minutes, so it keeps what it has built."""
    if provider != PROVIDERS["tensorrt"]:
        return provider
    folder = cache or os.path.join(tempfile.gettempdir(), "coldpress-tensorrt")
    return provider, {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder, "trt_timing_cache_enable": "1"}


def _to_value(array: Any, dtype: DType | None) -> Any:
    if not isinstance(array, np.ndarray) or dtype is None or not _lacks(dtype):
        return ort.OrtValue.ortvalue_from_numpy(array)
    raw = np.frombuffer(Tensor.from_numpy(array, dtype).data, f"u{max(dtype.itemsize, 1)}")
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(raw.reshape(array.shape), dtype.onnx)


def _from_value(value: Any) -> Any:
    dtype = BY_ONNX.get(value.element_type()) if value.is_tensor() else None
    if dtype is None or not _lacks(dtype):
        return value.numpy()
    raw = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return Tensor(dtype, value.shape(), raw).numpy()
