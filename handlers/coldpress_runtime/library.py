"""Where ONNX Runtime's shared library is, and whether it is one we can use."""

from __future__ import annotations

import os
import sys

from coldpress_runtime.errors import LibraryError

__all__ = ["API_VERSION", "find_library", "open_library"]

# The OrtApi table that we ask for. Everything bound in capi.py is in it; ONNX Runtime 1.24 was the first to have it
# and, by its ABI promise, every later one still does.
API_VERSION = 24


def find_library(hint: str | None = None) -> str:
    """Return the path of ONNX Runtime's shared library.

    Looked for, in order: ``hint`` (a file or a folder), the environment variable ``COLDPRESS_ORT_LIBRARY`` (likewise),
    the folder ``lib/`` beside this package (a bundle's layout), the ``onnxruntime`` package installed for this Python.

    Raises:
        LibraryError: there is none, or ``hint`` or the variable name something that is not there.
    """
    if hint is not None:
        return _named(hint, "the path given")
    if named := os.environ.get("COLDPRESS_ORT_LIBRARY"):
        return _named(named, "COLDPRESS_ORT_LIBRARY")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = _within(os.path.join(root, "lib"))
    for entry in sys.path if found is None else ():
        found = _within(os.path.join(entry, "onnxruntime", "capi"))
        if found is not None:
            break
    if found is None:
        raise LibraryError(
            "Found no ONNX Runtime library in lib/ beside coldpress_runtime nor in an installed onnxruntime package, "
            f"expected {_pattern()}; install onnxruntime, or set COLDPRESS_ORT_LIBRARY to the file."
        )
    return found


def _named(path: str, whence: str) -> str:
    found = _within(path) if os.path.isdir(path) else path if os.path.isfile(path) else None
    if found is None:
        raise LibraryError(
            f"{whence} names {os.path.basename(path) or 'nothing'}, which is no ONNX Runtime library; expected a file "
            f"like {_pattern()}, or the folder that holds it."
        )
    return found


def _pattern() -> str:
    if sys.platform == "win32":
        return "onnxruntime.dll"
    return "libonnxruntime.*.dylib" if sys.platform == "darwin" else "libonnxruntime.so.*"


def _within(folder: str) -> str | None:
    """The newest library in ``folder``."""
    start, _, end = _pattern().partition("*")
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    found = [
        name
        for name in names
        if (name.startswith(start) and name.endswith(end)) or name in {"libonnxruntime.so", "libonnxruntime.dylib"}
    ]
    if not found:
        return None
    found.sort(key=lambda name: [int(part) if part.isdigit() else -1 for part in name.split(".")])
    return os.path.join(folder, found[-1])


def open_library(path: str) -> tuple[int, str]:
    """Load the library at ``path`` into this process; return the address of its function table, and its version.

    Raises:
        LibraryError: the file does not load on this machine, is not ONNX Runtime, or is older than we need.
    """
    import ctypes  # noqa: PLC0415  (looking for a library needs none)

    name = os.path.basename(path)
    try:
        library = ctypes.CDLL(path)
        library.OrtGetApiBase.restype = ctypes.c_void_p
    except (OSError, AttributeError) as error:
        why = str(error).replace(path, name)
        raise LibraryError(
            f"{name} does not load here ({why}); expected ONNX Runtime built for {sys.platform} on this architecture."
        ) from None
    # struct OrtApiBase { const OrtApi* (*GetApi)(uint32_t); const char* (*GetVersionString)(void); }
    base = (ctypes.c_size_t * 2).from_address(library.OrtGetApiBase())
    version = (ctypes.CFUNCTYPE(ctypes.c_char_p)(base[1])() or b"").decode()
    minor = version.split(".")[1:2]
    # GetApi prints to stderr when it refuses, so look at the version first: 1.N offers the tables up to N.
    table = None
    if version.startswith("1.") and minor[0].isdigit() and int(minor[0]) >= API_VERSION:
        table = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)(base[0])(API_VERSION)
    if not table:
        raise LibraryError(
            f"Found ONNX Runtime {version or 'of no version'} in {name}, expected 1.{API_VERSION} or newer; "
            "install a newer onnxruntime."
        )
    return table, version
