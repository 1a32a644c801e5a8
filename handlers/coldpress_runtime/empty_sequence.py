"""Empty sequences of tensors: the C API has no function that makes one, a model of one operator does."""

from __future__ import annotations

import ctypes

from coldpress_runtime.errors import RunError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coldpress_runtime.capi import Api
    from coldpress_runtime.tensor import DType

__all__ = ["empty_sequence"]

_sessions: dict[tuple[int, int], int] = {}  # one a datatype, for as long as the process lives
_OUTPUT = b"s"


def empty_sequence(api: Api, dtype: DType) -> int:
    """Return the address of a new value: a sequence of no tensors of ``dtype``. The caller releases it.

    Raises:
        RunError: ONNX Runtime has no sequences of this datatype.
    """
    key = (api.env, dtype.onnx)
    session = _sessions.get(key)
    if session is None:
        session = _sessions[key] = _open(api, dtype)
    names, values = (ctypes.c_char_p * 1)(_OUTPUT), (ctypes.c_size_t * 1)()
    api.check(api.Run(session, None, None, None, 0, names, 1, values))
    return values[0]


def _open(api: Api, dtype: DType) -> int:
    model = _model(dtype.onnx)
    options, session = ctypes.c_void_p(), ctypes.c_void_p()
    api.check(api.CreateSessionOptions(ctypes.byref(options)))
    try:
        api.check(api.SetIntraOpNumThreads(options, 1))
        status = api.CreateSessionFromArray(api.env, model, len(model), options, ctypes.byref(session))
    finally:
        api.ReleaseSessionOptions(options)
    if status:
        raise RunError(f"No empty sequence of {dtype.name} can be made: {api.message(status)}")
    return session.value or 0


def _model(onnx: int) -> bytes:
    """Return a ModelProto, in protobuf's wire format: ``s = SequenceEmpty<dtype=onnx>()``, opset 11."""
    number = bytes([onnx])
    attribute = _field(1, b"dtype") + b"\x18" + number + b"\xa0\x01\x02"  # i = 3: varint; type = 20: INT
    node = _field(2, _OUTPUT) + _field(4, b"SequenceEmpty") + _field(5, attribute)
    tensor = _field(1, b"\x08" + number)  # TypeProto.tensor_type.elem_type
    output = _field(1, _OUTPUT) + _field(2, _field(4, _field(1, tensor)))  # ValueInfoProto of a sequence_type
    graph = _field(1, node) + _field(2, b"empty") + _field(12, output)
    return b"\x08\x08" + _field(7, graph) + _field(8, b"\x10\x0b")  # ir_version 8, opset_import version 11


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited field; numbers up to 15 and contents under 128 bytes take one byte each."""
    return bytes([number << 3 | 2, len(content)]) + content
