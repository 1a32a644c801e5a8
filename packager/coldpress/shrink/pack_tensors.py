"""Integers kept as protobuf varints are kept as plain bytes, where that is smaller."""

import numpy as np
from onnx import GraphProto, TensorProto, numpy_helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import scopes

__all__ = ["pack_tensors"]

# Element types whose values are stored one a varint in int32_data, int64_data or uint64_data (onnx.proto), and have a
# numpy type of their own. Floating-point lists cost what raw bytes cost; 4-bit types are packed in either form.
_VARINTS = frozenset(
    {
        TensorProto.BOOL,
        TensorProto.FLOAT16,
        TensorProto.INT8,
        TensorProto.INT16,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.UINT8,
        TensorProto.UINT16,
        TensorProto.UINT32,
        TensorProto.UINT64,
    }
)


def pack_tensors(draft: Draft) -> int:
    """Store initialisers as raw bytes where that makes them smaller; return how many.

    A negative 8-bit weight takes ten bytes as a varint and one as itself; half precision two or three instead of two.
    """
    packed = 0
    for scope in scopes(draft.proto):
        if not isinstance(scope.body, GraphProto):
            continue
        for tensor in scope.body.initializer:
            if tensor.data_type not in _VARINTS or tensor.HasField("raw_data") or tensor.external_data:
                continue
            values = numpy_helper.to_array(tensor)
            raw = numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), tensor.name)
            if raw.ByteSize() < tensor.ByteSize() and raw.data_type == tensor.data_type:
                tensor.CopyFrom(raw)
                draft.set_aside([tensor])
                packed += 1
    return packed
