"""The yardstick: what the plain ``onnxruntime`` binding answers, and how far another answer is from it."""

import contextlib
import functools
import math
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coldpress.binding import onnxruntime
from coldpress.errors import ModelError, SamplesError
from coldpress.signature import Port, Signature, signature_of

__all__ = ["Difference", "Reference", "compare", "compare_kind", "compare_outputs"]

# Element types that the binding neither takes nor gives as numpy arrays: (TensorProto number, bytes an
# element).
_RAW = {
    "BF16": (16, 2),
    "FLOAT8E4M3FN": (17, 1),
    "FLOAT8E4M3FNUZ": (18, 1),
    "FLOAT8E5M2": (19, 1),
    "FLOAT8E5M2FNUZ": (20, 1),
}


class Reference:
    """A model file opened with the plain binding on the CPU.

    Args:
        model: An ``.onnx`` or ``.ort`` file.
        threads: Threads inside an operator; between operators there is always one.
        optimization: ``all``, ``extended``, ``basic`` or ``disabled``, applied while loading.

    Raises:
        ModelError: The binding will not open the file, or cannot hold its inputs and outputs.
    """

    def __init__(self, model: Path, *, threads: int = 1, optimization: str = "all") -> None:
        ort = onnxruntime()

        levels = ort.GraphOptimizationLevel
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = {
            "all": levels.ORT_ENABLE_ALL,
            "extended": levels.ORT_ENABLE_EXTENDED,
            "basic": levels.ORT_ENABLE_BASIC,
            "disabled": levels.ORT_DISABLE_ALL,
        }[optimization]
        self.model = model
        try:
            self._session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the binding raises a dozen classes of its own
            raise ModelError(
                f"ONNX Runtime {ort.__version__} cannot open {model.name}: {_sentence(error)}; "
                "check that the file loads with onnxruntime.InferenceSession"
            ) from error
        self.signature: Signature = signature_of(self._session, model)
        for port in (*self.signature.inputs, *self.signature.outputs):
            if port.kind == "tensor" and not port.numpy:
                raise ModelError(
                    f"{model.name} has {port.name!r} of type {port.type}, which no request or answer can hold; "
                    "put a Cast to INT8 or UINT8 between it and the caller"
                )

    @property
    def metadata(self) -> dict[str, str]:
        """The model's custom metadata (class names, character sets, licences)."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    @functools.cached_property
    def drawn(self) -> frozenset[str]:
        """The outputs that depend on chance, of which no two runs are alike; none for a file that is not ONNX."""
        import onnx

        from coldpress.model.random_ops import drawn_outputs  # noqa: PLC0415  (brings onnx, as above)

        with contextlib.suppress(Exception):
            return drawn_outputs(onnx.load(self.model, load_external_data=False))
        return frozenset()

    def run(self, inputs: Mapping[str, Any], *, timeout_s: float | None = None) -> dict[str, Any]:
        """Run the model once.

        Args:
            inputs: By name: numpy arrays (``ml_dtypes`` ones for BF16 and float8, object arrays of ``str``
                for strings), lists for sequences, None for an empty optional.
            timeout_s: Stop a run that takes longer.

        Returns:
            Every output by name: a numpy array, a list (sequence), a dict (map) or None.

        Raises:
            SamplesError: The model refuses these inputs, or takes longer than ``timeout_s``.
        """
        ort = onnxruntime()

        options = ort.RunOptions()
        options.log_severity_level = 4
        ports = (*self.signature.inputs, *self.signature.outputs)
        with _stopwatch(options, timeout_s) as late:
            try:
                if any(port.datatype in _RAW for port in ports):
                    return self._run_raw(inputs, options)
                names = [port.name for port in self.signature.outputs]
                return dict(zip(names, self._session.run(None, dict(inputs), options), strict=True))
            except Exception as error:  # as above
                why = f"it took longer than {timeout_s:g} s" if late.is_set() else _sentence(error)
                raise SamplesError(f"{self.model.name} does not run on these inputs: {why}") from error

    def _run_raw(self, inputs: Mapping[str, Any], options: Any) -> dict[str, Any]:
        import numpy as np

        ort = onnxruntime()

        make = ort.OrtValue.ortvalue_from_numpy_with_onnx_type
        feeds = {}
        for port in self.signature.inputs:
            value = np.ascontiguousarray(inputs[port.name])
            if port.datatype in _RAW:
                element, size = _RAW[port.datatype]
                feeds[port.name] = make(value.view(f"u{size}"), element)
            else:
                feeds[port.name] = ort.OrtValue.ortvalue_from_numpy(value)
        names = [port.name for port in self.signature.outputs]
        results = self._session.run_with_ort_values(names, feeds, options)
        return {p.name: _array(v, p) for p, v in zip(self.signature.outputs, results, strict=True)}


@dataclass(frozen=True)
class Difference:
    """How far one answer is from another.

    ``equal`` means bit for bit. ``max_abs`` and ``max_rel`` are over the elements finite on both sides
    (relative to the largest magnitude of the expected tensor, so that near-zero elements do not blow it
    up); ``cosine`` is the smallest over the tensors. ``same_nan`` is False when NaN or infinity stand in
    different places. ``structure`` says, if anything does, what differs in kind, element type, shape, keys
    or text: then no number is comparable.
    """

    equal: bool = True
    max_abs: float = 0.0
    max_rel: float = 0.0
    cosine: float = 1.0
    same_nan: bool = True
    structure: str = ""

    def join(self, other: "Difference") -> "Difference":
        """Return the worse of the two in every respect."""
        return Difference(
            self.equal and other.equal,
            max(self.max_abs, other.max_abs),
            max(self.max_rel, other.max_rel),
            min(self.cosine, other.cosine),
            self.same_nan and other.same_nan,
            self.structure or other.structure,
        )

    def within(self, tolerance: float) -> bool:
        """Say whether the two are the same up to ``tolerance`` of each tensor's largest magnitude."""
        return not self.structure and self.same_nan and self.max_rel <= tolerance


def compare_outputs(
    expected: Mapping[str, Any], got: Mapping[str, Any], drawn: Collection[str] = frozenset()
) -> Difference:
    """Compare two answers output by output; a missing or extra output is a difference in structure.

    Of outputs named in ``drawn``, which depend on chance, only kind, element type and rank are compared.
    """
    if set(expected) != set(got):
        return Difference(equal=False, structure=f"outputs {sorted(got)} instead of {sorted(expected)}")
    result = Difference()
    for name, value in expected.items():
        same = compare_kind if name in drawn else compare
        result = result.join(same(value, got[name], name))
    return result


def compare_kind(expected: Any, got: Any, where: str = "output") -> Difference:
    """Compare kind, element type and rank, and no values: all that can be said of what depends on chance."""
    one, other = _outline(expected), _outline(got)
    return Difference() if one == other else Difference(equal=False, structure=f"{where}: {one} became {other}")


def _outline(value: Any) -> str:
    if hasattr(value, "dtype"):
        return f"{value.dtype} of rank {value.ndim}"
    return type(value).__name__


def compare(expected: Any, got: Any, where: str = "output") -> Difference:
    """Compare two values: numpy arrays, lists (sequences), dicts (maps), scalars, strings or None."""
    import numpy as np

    if isinstance(expected, dict):
        if not isinstance(got, dict) or list(expected) != list(got):
            return Difference(equal=False, structure=f"{where}: the map's keys differ")
        return _all((value, got[key], f"{where}[{key!r}]") for key, value in expected.items())
    if isinstance(expected, (list, tuple)):
        if not isinstance(got, (list, tuple)) or len(got) != len(expected):
            return Difference(equal=False, structure=f"{where}: the sequence's length differs")
        return _all((a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(expected, got, strict=True)))
    if isinstance(expected, (np.ndarray, np.generic)) or isinstance(got, (np.ndarray, np.generic)):
        return _tensors(np.asarray(expected), np.asarray(got), where)
    if isinstance(expected, float) and isinstance(got, float):
        return _tensors(np.asarray(expected), np.asarray(got), where)
    if type(expected) is not type(got) or expected != got:
        return Difference(equal=False, structure=f"{where}: {expected!r:.40} became {got!r:.40}")
    return Difference()


def _all(parts: Iterator[tuple[Any, Any, str]]) -> Difference:
    result = Difference()
    for expected, got, where in parts:
        result = result.join(compare(expected, got, where))
    return result


def _tensors(a: Any, b: Any, where: str) -> Difference:
    import numpy as np

    if a.dtype != b.dtype or a.shape != b.shape:
        text = f"{where}: {a.dtype} {list(a.shape)} became {b.dtype} {list(b.shape)}"
        return Difference(equal=False, structure=text)
    if a.dtype == object or a.dtype.kind in "SU":
        same = a.tolist() == b.tolist()
        return Difference() if same else Difference(equal=False, structure=f"{where}: strings differ")
    if a.tobytes() == b.tobytes():
        return Difference()
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    x, y = a.astype(wide).ravel(), b.astype(wide).ravel()
    with np.errstate(all="ignore"):
        finite = np.isfinite(x) & np.isfinite(y)
        odd_x, odd_y = x[~finite], y[~finite]
        same_nan = bool(np.array_equal(odd_x, odd_y, equal_nan=True))
        x, y = x[finite], y[finite]
        gap = float(np.abs(x - y).max(initial=0.0))
        scale = float(np.abs(x).max(initial=0.0))
        norms = float(np.linalg.norm(x) * np.linalg.norm(y))
        cosine = float(np.abs(np.vdot(x, y)) / norms) if norms else float(gap == 0)
    relative = gap / scale if scale else (math.inf if gap else 0.0)
    return Difference(False, gap, relative, min(1.0, cosine), same_nan)


@contextlib.contextmanager
def _stopwatch(options: Any, seconds: float | None) -> Iterator[threading.Event]:
    """Ask ONNX Runtime to give up after ``seconds``; the event says that it was asked."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        options.terminate = True

    timer = threading.Timer(seconds, stop) if seconds is not None else None
    if timer:
        timer.daemon = True
        timer.start()
    try:
        yield late
    finally:
        if timer:
            timer.cancel()


def _array(value: Any, port: Port) -> Any:
    """Turn an ``OrtValue`` into an array; the binding has no numpy type for BF16, so its memory is copied."""
    import ctypes  # noqa: PLC0415  (for BF16 and float8 alone)

    import ml_dtypes  # noqa: PLC0415  (heavy; comes with onnx)
    import numpy as np

    if port.datatype not in _RAW:
        return value.numpy()
    dtype, shape = np.dtype(getattr(ml_dtypes, port.numpy)), tuple(value.shape())
    raw = ctypes.string_at(value.data_ptr(), math.prod(shape) * dtype.itemsize)
    return np.frombuffer(raw, dtype).reshape(shape)


def _sentence(error: Exception) -> str:
    """ONNX Runtime's message without its code prefix, on one line and no longer than a line can be."""
    text = " ".join(str(error).split())
    head, colon, rest = text.partition(" : ")
    if colon and head.startswith("[ONNXRuntimeError]"):
        text = rest.split(" : ", 2)[-1]
    return text[:300].rstrip(". ")
