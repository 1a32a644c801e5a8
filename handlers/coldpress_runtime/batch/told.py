"""A model's signature as plain JSON, for a process that cuts its input into records and does not open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coldpress_runtime.batch.features import Signature
from coldpress_runtime.errors import HookError
from coldpress_runtime.signature import ValueInfo
from coldpress_runtime.tensor import DTYPES

if TYPE_CHECKING:
    from typing import Any

__all__ = ["signature_of", "tell_signature"]


def tell_signature(signature: Signature) -> dict[str, Any]:
    """Return a signature as plain JSON; of hooks, whether there is a ``preprocess``."""
    inputs = [_tell(info) for info in signature.inputs.values()]
    outputs = list(map(_tell, signature.outputs))
    columns = list(signature.columns)
    return {"inputs": inputs, "columns": columns, "preprocess": signature.preprocess, "outputs": outputs}


def signature_of(document: dict[str, Any]) -> Signature:
    """Return what ``tell_signature`` told. Its hooks are elsewhere: they can be asked for, and not called."""
    inputs = {info["name"]: _read(info) for info in document["inputs"]}
    hooks: Any = _Elsewhere() if document["preprocess"] else None
    return Signature(inputs, hooks, tuple(document["columns"]), tuple(map(_read, document["outputs"])))


class _Elsewhere:
    """Stands for hooks that another process has loaded."""

    postprocess = None

    def preprocess(self, _request: object) -> None:
        raise HookError("The hooks run in the processes that have the model open, and not in this one.")


def _tell(info: ValueInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "kind": info.kind,
        "dtype": info.dtype and info.dtype.name,
        "shape": info.shape,
        "item": info.item and _tell(info.item),
        "key": info.key and info.key.name,
        "value": info.value and info.value.name,
    }


def _read(told: dict[str, Any]) -> ValueInfo:
    dtype, key, value = (DTYPES[told[part]] if told[part] else None for part in ("dtype", "key", "value"))
    item = _read(told["item"]) if told["item"] else None
    return ValueInfo(told["name"], told["kind"], dtype, tuple(told["shape"]), item, key, value)
