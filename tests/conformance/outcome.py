"""One conformance case through the ordinary onnxruntime binding and through the lean engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from coldpress_runtime.ort import Session
from coldpress_runtime.tensor import Tensor

__all__ = ["outcome"]

# onnx.backend.test asks 1e-7 absolute, which the Fourier cases miss in every engine: their references were
# computed in double precision.
_RTOL, _ATOL = 1e-3, 1e-4
Engine = Callable[[str, dict[str, Any]], list[Any]]


def outcome(folder: Path, *, strip: bool = False) -> dict[str, Any]:
    """Run a case; return what came of it.

    Keys: `plain` and `lean`, each `match`, `differ` or the error; `same`, whether both engines gave the same bits.
    With `strip`, the lean engine runs what every lossless pass of `coldpress.shrink.strip` made of the model.
    """
    model = onnx.load(folder / "model.onnx")
    lean_model = folder / "model.onnx"
    if strip:
        from coldpress.shrink.strip import FINISHING, LOSSLESS
        from coldpress.shrink.strip import strip as stripped

        smaller = stripped(onnx.load(folder / "model.onnx"), (*LOSSLESS, *FINISHING)).model
        lean_model = smaller.SerializeToString()
    found: dict[str, Any] = {"same": True}
    answers: dict[str, list[Any]] = {"plain": [], "lean": []}
    sets = sorted(folder.glob("test_data_set_*"))
    wanted = [_values(part, "output", model.graph.output) for part in sets]
    for name, engine, given in (("plain", _plain, folder / "model.onnx"), ("lean", _lean, lean_model)):
        try:
            answers[name] = engine(given, [_feeds(part, model) for part in sets])
        except Exception as error:  # noqa: BLE001  (whatever an engine raises is an outcome)
            found[name] = f"{type(error).__name__}: {error}"
        else:
            matches = _alike(answers[name], wanted, _close)
            found[name] = "match" if matches else "differ"
    if answers["plain"] and answers["lean"]:
        found["same"] = _alike(answers["lean"], answers["plain"], _same)
    return found


def _plain(model: Path, feeds: list[dict[str, Any]]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [session.run(None, each) for each in feeds]


def _lean(model: Any, feeds: list[dict[str, Any]]) -> list[Any]:
    with Session(model) as session:
        return [
            [_to_numpy(value) for value in session.run({k: _to_tensor(v) for k, v in each.items()}).values()]
            for each in feeds
        ]


def _to_tensor(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_tensor(item) for item in value]
    return None if value is None else Tensor.from_numpy(np.asarray(value))


def _to_numpy(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, list):
        return [_to_numpy(item) for item in value]
    return value


def _feeds(folder: Path, model: onnx.ModelProto) -> dict[str, Any]:
    fixed = {tensor.name for tensor in model.graph.initializer}
    inputs = [info for info in model.graph.input if info.name not in fixed]
    values = _values(folder, "input", inputs)
    # Some models keep unused inputs for which there is no file.
    return {info.name: value for info, value in zip(inputs, values, strict=False)}


def _values(folder: Path, side: str, infos: Any) -> list[Any]:
    count = len(list(folder.glob(f"{side}_*.pb")))
    return [
        _value((folder / f"{side}_{place}.pb").read_bytes(), info.type)
        for place, info in zip(range(count), infos, strict=False)
    ]


def _value(content: bytes, kind: onnx.TypeProto) -> Any:
    which = kind.WhichOneof("value")
    if which == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if which == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return numpy_helper.to_array(onnx.TensorProto.FromString(content))


def _alike(found: Any, wanted: Any, arrays: Callable[[Any, Any], bool]) -> bool:
    """Compare kinds, lengths, shapes and element types, and leave what two arrays hold to ``arrays``."""
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(_alike(*pair, arrays) for pair in zip(found, wanted, strict=True))
    if wanted is None or found is None:
        return found is wanted
    found, wanted = np.asarray(found), np.asarray(wanted)
    return found.shape == wanted.shape and found.dtype == wanted.dtype and arrays(found, wanted)


def _close(found: Any, wanted: Any) -> bool:
    if wanted.dtype.kind in "OSU":
        return bool((found.astype(str) == wanted.astype(str)).all())
    return np.allclose(found, wanted, rtol=_RTOL, atol=_ATOL, equal_nan=True)


def _same(found: Any, wanted: Any) -> bool:
    return bool((found == wanted).all()) if wanted.dtype.kind == "O" else found.tobytes() == wanted.tobytes()
