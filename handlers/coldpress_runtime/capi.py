"""ONNX Runtime's C API: the functions that we use, by their place in its function table.

The table (``struct OrtApi`` in ``onnxruntime_c_api.h``) only ever grows at its end, so a place is for good: count the
members from 0. The last one here is the last of table 24, at byte 3312 of 3320. The tests call every one.

Functions are bound when first used: a ctypes prototype costs about 10 µs, and a cold start uses half of them.

What a start costs here (2.6 GHz Xeon, page cache warm): ctypes 1.6 ms, dlopen 1.6 ms, the environment 11 ms. The
last is ONNX Runtime registering every operator's schema: 40 % its own code, 35 % malloc, 20 % page faults. Tried
against it, and left out because the gain was below the noise: mallopt with a larger top pad and mmap threshold (a fifth
fewer page faults in CreateSession), huge pages for the heap, ``_ctypes`` without ``ctypes`` (1.2 ms).
"""

from __future__ import annotations

import ctypes
import os

from coldpress_runtime.errors import EngineError, LibraryError
from coldpress_runtime.library import open_library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Api", "address_of", "load"]

# Arguments: p pointer, s NUL-terminated bytes, i int, z size_t. In capitals: may take long, so other threads run
# meanwhile. The rest keep the interpreter's lock: they return in less time than handing it over takes, and call
# nothing of ours back.
FUNCTIONS = {
    "GetErrorMessage": (2, "p"),
    "CreateEnv": (3, "ISP"),
    "DisableTelemetryEvents": (6, "p"),
    "CreateSession": (7, "PPPP"),
    "CreateSessionFromArray": (8, "PPZPP"),
    "Run": (9, "PPPPZPZP"),
    "CreateSessionOptions": (10, "p"),
    "SetOptimizedModelFilePath": (11, "pp"),
    "DisableMemPattern": (17, "p"),
    "SetSessionLogSeverityLevel": (22, "pi"),
    "SetSessionGraphOptimizationLevel": (23, "pi"),
    "SetIntraOpNumThreads": (24, "pi"),
    "SetInterOpNumThreads": (25, "pi"),
    "SessionGetInputCount": (30, "pp"),
    "SessionGetOutputCount": (31, "pp"),
    "SessionGetInputTypeInfo": (33, "pzp"),
    "SessionGetOutputTypeInfo": (34, "pzp"),
    "SessionGetInputName": (36, "pzpp"),
    "SessionGetOutputName": (37, "pzpp"),
    "CreateTensorAsOrtValue": (48, "ppzip"),
    "CreateTensorWithDataAsOrtValue": (49, "ppzpzip"),
    "GetTensorMutableData": (51, "pp"),
    "GetStringTensorDataLength": (53, "pp"),
    "GetStringTensorContent": (54, "ppzpz"),
    "CastTypeInfoToTensorInfo": (55, "pp"),
    "GetOnnxTypeFromTypeInfo": (56, "pp"),
    "GetTensorElementType": (60, "pp"),
    "GetDimensionsCount": (61, "pp"),
    "GetDimensions": (62, "ppz"),
    "GetSymbolicDimensions": (63, "ppz"),
    "GetValueType": (67, "pp"),
    "CreateCpuMemoryInfo": (69, "iip"),
    "AllocatorFree": (76, "pp"),
    "GetAllocatorWithDefaultOptions": (78, "p"),
    "GetValue": (80, "pipp"),
    "GetValueCount": (81, "pp"),
    "CreateValue": (82, "pzip"),
    "ReleaseStatus": (93, "p"),
    "ReleaseSession": (95, "P"),
    "ReleaseValue": (96, "p"),
    "ReleaseTypeInfo": (98, "p"),
    "ReleaseSessionOptions": (100, "p"),
    "CastTypeInfoToMapTypeInfo": (103, "pp"),
    "CastTypeInfoToSequenceTypeInfo": (104, "pp"),
    "GetMapKeyType": (105, "pp"),
    "GetMapValueType": (106, "pp"),
    "GetSequenceElementType": (107, "pp"),
    "SessionGetModelMetadata": (111, "pp"),
    "ModelMetadataLookupCustomMetadataMap": (116, "ppsp"),
    "ReleaseModelMetadata": (118, "p"),
    "ModelMetadataGetCustomMetadataMapKeys": (123, "pppp"),
    "AddSessionConfigEntry": (130, "pss"),
    "HasValue": (192, "pp"),
    "CastTypeInfoToOptionalTypeInfo": (250, "pp"),
    "GetOptionalContainedTypeInfo": (251, "pp"),
    "GetResizedStringTensorElementBuffer": (252, "pzzp"),
    "GetTensorElementTypeAndShapeDataReference": (414, "pppp"),
}
_RESULTS = {"GetErrorMessage": ctypes.c_char_p}
_ARGUMENTS = {"p": ctypes.c_void_p, "s": ctypes.c_char_p, "i": ctypes.c_int, "z": ctypes.c_size_t}
_SILENT = 4  # ORT_LOGGING_LEVEL_FATAL: errors come back as statuses, and nothing of ours belongs on stderr

_loaded: dict[str, Api] = {}


class Api:
    """The function table of one loaded library, with its environment, default allocator and CPU memory.

    Every function of ``FUNCTIONS`` is an attribute. Those that can fail return a status: 0 or None when well, else
    pass it to ``message``.
    """

    def __init__(self, path: str) -> None:
        table, self.version = open_library(path)
        self._table = (ctypes.c_size_t * (max(place for place, _ in FUNCTIONS.values()) + 1)).from_address(table)
        # ONNX Runtime 1.31 reports on its user's machine to its makers unless told not to: it opens a SQLite file below
        # ~/.cache, starts a thread and reads who we are. A function must not, and it costs a start 2 to 3 ms.
        # Builds that do not know the variable know the call.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        self.env = self._made(self.CreateEnv, _SILENT, b"coldpress")
        self.check(self.DisableTelemetryEvents(self.env))
        self.allocator = self._made(self.GetAllocatorWithDefaultOptions)
        self.memory = self._made(self.CreateCpuMemoryInfo, 0, 0)  # OrtDeviceAllocator, OrtMemTypeDefault

    def __getattr__(self, name: str) -> Any:
        try:
            place, letters = FUNCTIONS[name]
        except KeyError:
            raise AttributeError(name) from None
        prototype = ctypes.CFUNCTYPE if letters.isupper() else ctypes.PYFUNCTYPE
        arguments = [_ARGUMENTS[letter] for letter in letters.lower()]
        function = prototype(_RESULTS.get(name, ctypes.c_void_p), *arguments)(self._table[place])
        setattr(self, name, function)
        return function

    def message(self, status: int) -> str:
        """Return what a status says, and free it."""
        text: bytes = self.GetErrorMessage(status) or b""
        self.ReleaseStatus(status)
        return text.decode("utf-8", "replace")

    def check(self, status: int | None) -> None:
        """Raise EngineError unless the status is good."""
        if status:
            raise EngineError(f"ONNX Runtime refused: {self.message(status)}")

    def _made(self, function: Any, *arguments: Any) -> int:
        """Return what ``function`` leaves in its last argument."""
        out = ctypes.c_void_p()
        status = function(*arguments, ctypes.byref(out))
        if status:
            raise LibraryError(f"ONNX Runtime {self.version} does not start: {self.message(status)}")
        return out.value or 0


def load(path: str) -> Api:
    """Return the library at ``path``, loaded once a process."""
    api = _loaded.get(path)
    if api is None:
        api = _loaded.setdefault(path, Api(path))
    return api


class _Buffer(ctypes.Array):  # type: ignore[type-arg]
    """A ``Py_buffer``: its first word is the address; ten words cover the rest on every platform."""

    _type_ = ctypes.c_void_p
    _length_ = 12


# Prototypes of our own: setting argtypes on ctypes.pythonapi would change them for everybody in the process.
_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p, ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyBuffer_Release", ctypes.pythonapi))


def address_of(data: Any) -> int:
    """Return where the bytes of a contiguous buffer are, read-only ones included; good while ``data`` lives."""
    buffer = _Buffer()
    _get_buffer(data, buffer, 0)
    address: int = buffer[0] or 0
    _release_buffer(buffer)
    return address
