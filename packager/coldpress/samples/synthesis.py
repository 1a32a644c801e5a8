"""Inputs that a model can really run on, found by trying, for when the user gives no samples.

Many models refuse most inputs: a sample rate must be 16000, an index must be in range, an image must be a multiple of
32, a sequence must match a state. So nothing here is trusted until the plain binding has run the model on it.
"""

import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coldpress.errors import SamplesError
from coldpress.reference import Reference
from coldpress.samples.dimensions import plans, roles, size_of
from coldpress.samples.load import SampleSet
from coldpress.signature import Port, Signature

__all__ = ["synthesize"]

_RATES = ("sr", "rate", "sample_rate", "sampling_rate", "samplerate")
_MAX_ELEMENTS = 1 << 24
_HOW = "give real ones with --samples FILE (.npz or .jsonl keyed by input name)"
_MODES = ("mixed", "ones", "zeros", "lengths")


def synthesize(reference: Reference, *, seed: int = 0, budget_s: float = 30.0) -> SampleSet:
    """Find requests that the model runs on and answers with finite, non-empty outputs.

    Args:
        reference: The model, open in the plain binding.
        seed: Of the random values; the same seed gives the same request.
        budget_s: Give up after this many seconds.

    Returns:
        One request, then up to three like it with other values, a batch of two, and other sizes, as far as the model
        takes these; with a sentence an input on what was assumed for the first.

    Raises:
        SamplesError: Nothing tried works; says how to give samples.
    """
    signature = reference.signature
    if odd := [port for port in signature.inputs if port.kind not in ("tensor", "optional") or not _made(port)]:
        raise SamplesError(
            f"input {odd[0].name!r} is {odd[0].type}, for which coldpress makes no sample of its own; {_HOW}"
        )
    search = _Search(reference, seed, time.monotonic() + budget_s)
    modes = _MODES if _integers(signature) else _MODES[:1]
    for ranked in _ranks(signature):
        attempts = ((p, m) for p in plans(ranked, reference.model, search.numbers) for m in modes)
        if any(search.attempt(ranked, plan, mode) or search.over for plan, mode in attempts):
            break
    if search.best is None:
        if not search.tries:
            raise SamplesError(
                f"{reference.model.name} takes inputs of more than {_MAX_ELEMENTS:,} elements, too large to try; {_HOW}"
            )
        raise SamplesError(
            f"{reference.model.name} ran on none of {search.tries} made-up requests ({search.refusal}); {_HOW}"
        )
    return SampleSet((search.best, *search.variants()), None, "synthesized", search.assumed)


@dataclass
class _Search:
    """The state of one search: what was tried, what came nearest, and the numbers that refusals mentioned."""

    reference: Reference
    seed: int
    deadline: float
    tries: int = 0
    best: dict[str, Any] | None = None
    recipe: tuple[Signature, Mapping[str, int], str] | None = None
    assumed: tuple[str, ...] = ()
    refusal: str = ""
    worked: int = 0
    numbers: list[int] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether time is up, or enough requests ran without one answer being finite."""
        return time.monotonic() > self.deadline or self.worked >= 8

    def attempt(self, signature: Signature, plan: Mapping[str, int], mode: str) -> bool:
        """Run the model on the request that ``plan`` (sizes of the open dimensions) and ``mode`` (of values) make."""
        request = _request(signature, plan, mode, self.seed)
        if request is None:
            return False
        self.tries += 1
        try:
            left = max(1.0, min(10.0, self.deadline - time.monotonic()))
            outputs = self.reference.run(request, timeout_s=left)
        except SamplesError as error:
            self.refusal = str(error).partition("inputs: ")[2] or str(error)
            for text in re.findall(r"(?<![\w.])\d{1,5}(?![\w.])", self.refusal):
                if int(text) > 1 and int(text) not in self.numbers:
                    self.numbers.append(int(text))
            return False
        self.worked += 1
        sound = all(_sound(value) for value in outputs.values())
        if self.best is None or sound:
            self.best, self.recipe = request, (signature, dict(plan), mode)
            note = () if sound else ("an output holds NaN, infinity or nothing on every request tried",)
            self.assumed = (*_describe(signature, request, mode), *note)
        return sound

    def variants(self) -> Iterator[dict[str, Any]]:
        """Yield requests like the best one that the model answers just as soundly."""
        if self.recipe is None:
            return
        signature, plan, mode = self.recipe
        role = roles(signature)
        larger = {key: size * 2 if role[key] == "batch" else size for key, size in plan.items()}
        other = {key: _OTHER_SIZE.get(role[key], int)(size) for key, size in plan.items()}
        for sizes, seed in ((plan, self.seed + 1000), (larger, self.seed), (other, self.seed)):
            request = _request(signature, sizes, mode, seed) if sizes != plan or seed != self.seed else None
            try:
                sound = request is not None and all(map(_sound, self.reference.run(request, timeout_s=5.0).values()))
            except SamplesError:
                continue
            if sound and request is not None:
                yield request


_OTHER_SIZE: dict[str, Callable[[int], int]] = {
    "length": lambda size: size // 2 if size > 1 else 2,
    "columns": lambda size: size + 32,
}


def _made(port: Port) -> bool:
    return port.kind == "optional" or bool(port.numpy)


def _integers(signature: Signature) -> bool:
    return any(port.datatype.startswith(("INT", "UINT")) for port in signature.inputs)


def _ranks(signature: Signature) -> Iterator[Signature]:
    """Give inputs of unknown rank one after another; a signature without any comes as it is."""
    if all(port.shape is not None for port in signature.inputs):
        yield signature
        return
    for rank in (2, 1, 3, 4, 0):
        inputs = tuple(replace(p, shape=(None,) * rank) if p.shape is None else p for p in signature.inputs)
        yield Signature(inputs, signature.outputs)


def _sound(value: Any) -> bool:
    """Whether an output says something: not empty, and finite."""
    import numpy as np

    if isinstance(value, dict):
        return bool(value) and all(_sound(v) for v in value.values())
    if isinstance(value, list):
        return bool(value) and all(_sound(v) for v in value)
    array = np.asarray(value)
    if array.dtype.kind in "OSU" or value is None:
        return array.size > 0
    return array.size > 0 and bool(np.isfinite(array.astype(np.float64, copy=False)).all())


def _request(signature: Signature, plan: Mapping[str, int], mode: str, seed: int) -> dict[str, Any] | None:
    """Make a request; None when a size comes out negative or the whole is too large to try."""
    shapes: dict[str, tuple[int, ...]] = {}
    for port in signature.inputs:
        if port.kind == "tensor":
            shapes[port.name] = tuple(size_of(d, port.name, i, plan) for i, d in enumerate(port.shape or ()))
    if any(size < 0 for shape in shapes.values() for size in shape):
        return None
    if sum(math.prod(shape) for shape in shapes.values()) > _MAX_ELEMENTS:
        return None
    longest = max((size for shape in shapes.values() for size in shape[1:]), default=1)
    request: dict[str, Any] = {}
    for index, port in enumerate(signature.inputs):
        request[port.name] = (
            None if port.kind == "optional" else _values(port, shapes[port.name], mode, longest, seed + index)
        )
    return request


def _values(port: Port, shape: tuple[int, ...], mode: str, longest: int, seed: int) -> Any:
    import numpy as np

    random = np.random.default_rng(seed)
    if port.datatype == "BYTES":
        return np.full(shape, "a", dtype=object)
    if port.datatype == "BOOL":
        return np.ones(shape, dtype=bool)
    if port.datatype.startswith(("INT", "UINT")):
        if len(shape) <= 1 and port.name.lower() in _RATES:
            return np.full(shape, 16000, dtype=port.numpy)
        if len(shape) <= 1 and (mode == "lengths" or re.search(r"len|lod", port.name.lower())):
            return np.full(shape, min(longest, np.iinfo(port.numpy).max), dtype=port.numpy)
        if mode in ("ones", "zeros") or "mask" in port.name.lower():
            return np.full(shape, int(mode != "zeros"), dtype=port.numpy)
        high = 256 if port.datatype == "UINT8" and len(shape) >= 3 else 2
        return random.integers(0, high, shape).astype(port.numpy)
    values = random.random(shape)
    if port.numpy in np.sctypeDict:
        return np.asarray(values).astype(port.numpy)
    import ml_dtypes  # noqa: PLC0415  (heavy; comes with onnx)

    return np.asarray(values).astype(getattr(ml_dtypes, port.numpy))


def _describe(signature: Signature, request: Mapping[str, Any], mode: str) -> tuple[str, ...]:
    import numpy as np

    lines = []
    for port in signature.inputs:
        value = request[port.name]
        if value is None:
            lines.append(f"{port.name}: left empty")
            continue
        array = np.asarray(value)
        if port.datatype == "BYTES":
            text = "'a'"
        elif array.size and (array == array.flat[0]).all():
            text = str(array.flat[0])
        elif array.dtype.kind in "iu":
            text = f"random whole numbers, 0 to {array.max()}" if mode == "mixed" else f"{array.flat[0]}"
        else:
            text = "random numbers in [0, 1)"
        lines.append(f"{port.name}: {port.datatype} {list(array.shape)}, {text}")
    return tuple(lines)
