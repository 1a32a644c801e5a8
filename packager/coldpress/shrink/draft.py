"""A model under revision: its graph as protobuf, its large weights set aside so that copies and checks are cheap.

Setting aside replaces a tensor's ``raw_data`` by a short key made of the data's SHA-256. Equal data has equal keys,
so passes compare tensors by their bytes without holding them, and a copy of a 1 GB model costs what its graph costs.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper

from coldpress.model.tensors import iter_tensors

__all__ = ["Draft"]

_ASIDE_FROM = 256
"""Tensors from this many bytes are set aside; smaller ones may be read by shape inference and cost nothing to copy."""
_MARK = b"coldpress:aside\0"


class Draft:
    """``proto`` is the revised model with keys for weights; ``restore`` puts the weights back."""

    def __init__(self, model: ModelProto) -> None:
        self.proto = ModelProto()
        self.proto.CopyFrom(model)
        self._aside: dict[bytes, bytes] = {}
        self.set_aside(iter_tensors(self.proto))

    def set_aside(self, tensors: Iterable[TensorProto]) -> None:
        """Take the data of large tensors out of the message."""
        for tensor in tensors:
            if not tensor.HasField("raw_data"):
                continue
            data = tensor.raw_data
            if len(data) >= _ASIDE_FROM:
                key = _MARK + hashlib.sha256(data).digest()
                self._aside[key] = data
                tensor.raw_data = key

    def is_aside(self, tensor: TensorProto) -> bool:
        """Whether ``tensor`` holds a key in place of its data."""
        return tensor.HasField("raw_data") and tensor.raw_data in self._aside

    def nbytes(self, tensor: TensorProto) -> int:
        """Return the size of the tensor as it will be serialised, its data included."""
        size = tensor.ByteSize()
        if tensor.HasField("raw_data") and (data := self._aside.get(tensor.raw_data)) is not None:
            size += len(data) - len(tensor.raw_data)
        return size

    def full(self, tensor: TensorProto) -> TensorProto:
        """Return the tensor with its data in place: itself when it is small, else a copy."""
        if not self.is_aside(tensor):
            return tensor
        copy = TensorProto()
        copy.CopyFrom(tensor)
        copy.raw_data = self._aside[tensor.raw_data]
        return copy

    def array(self, tensor: TensorProto) -> np.ndarray:
        """Return the tensor's values; external data is not read (``ValueError``)."""
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ValueError(f"{tensor.name} is external")
        return numpy_helper.to_array(self.full(tensor))

    def size(self) -> int:
        """Return the bytes of the model as it will be serialised, within a few per tensor."""
        extra = sum(
            len(self._aside[tensor.raw_data]) - len(tensor.raw_data)
            for tensor in iter_tensors(self.proto)
            if self.is_aside(tensor)
        )
        return self.proto.ByteSize() + extra

    def snapshot(self) -> ModelProto:
        """Return a copy of the model as it is now, weights still aside."""
        copy = ModelProto()
        copy.CopyFrom(self.proto)
        return copy

    def hollow(self) -> ModelProto:
        """Return a copy fit for the onnx checker: set-aside and external tensors are replaced by small valid ones."""
        copy = self.snapshot()
        for tensor in iter_tensors(copy):
            if tensor.data_location == TensorProto.EXTERNAL:
                tensor.ClearField("external_data")
                tensor.ClearField("data_location")
                tensor.data_type, tensor.raw_data = TensorProto.UINT8, b"\0"
                tensor.dims[:] = [1]
            elif self.is_aside(tensor):
                tensor.data_type = TensorProto.UINT8
                tensor.dims[:] = [len(tensor.raw_data)]
        return copy

    def restore(self) -> ModelProto:
        """Return the model with every weight back in its place."""
        for tensor in iter_tensors(self.proto):
            if self.is_aside(tensor):
                tensor.raw_data = self._aside[tensor.raw_data]
        return self.proto
