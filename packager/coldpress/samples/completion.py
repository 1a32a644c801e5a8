"""Inputs that samples need not hold: states, which begin as zeros, and constants, which are said once."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.casting import numpy_dtype
from coldpress.samples.dimensions import roles, size_of
from coldpress.samples.splitting import single
from coldpress.signature import Port, Signature

__all__ = ["complete_constants", "complete_states"]

Request = Mapping[str, Any]


def complete_states(requests: Sequence[Request], signature: Signature, states: Collection[str]) -> tuple[Request, ...]:
    """Give every request the states that it lacks, as zeros.

    Args:
        requests: Inputs by name.
        signature: Of the model. A size that it leaves open is that of the other input with the same symbol; else 0
            where the symbol speaks of the past, as in a language model's cache; else the batch of the other inputs.
        states: Inputs that carry a state, as keys.

    Raises:
        SamplesError: A state's shape cannot be told.
    """
    ports = [port for port in signature.inputs if port.name in states and port.kind == "tensor"]

    def completed(request: Request) -> Request:
        return {**{p.name: _zeros(p, request, signature) for p in ports if p.name not in request}, **request}

    return tuple(map(completed, requests)) if ports else tuple(requests)


def complete_constants(
    requests: Sequence[Request], signature: Signature, constants: Mapping[str, Any]
) -> tuple[Request, ...]:
    """Give every request the constants that it lacks: a number fills the input's shape, a nested list is the value.

    Raises:
        SamplesError: A constant is no input of the model, or not of its kind and shape.
    """
    import numpy as np

    ports = {port.name: port for port in signature.inputs}
    if wrong := [name for name in constants if name not in ports]:
        raise SamplesError(f"`constants` names {wrong[0]!r}, no input of the model; its inputs are {', '.join(ports)}")

    def value(name: str, request: Request) -> Any:
        given, port = constants[name], ports[name]
        if port.kind == "tensor" and port.shape and isinstance(given, (bool, int, float, str)):
            given = np.full(_shape(port, request, signature), given)
        return single(given, port, "`constants`")

    return tuple(
        {**{name: value(name, request) for name in constants if name not in request}, **request} for request in requests
    )


def _zeros(port: Port, request: Request, signature: Signature) -> Any:
    import numpy as np

    shape = _shape(port, request, signature)
    return np.full(shape, "", object) if port.datatype == "BYTES" else np.zeros(shape, numpy_dtype(port))


def _shape(port: Port, request: Request, signature: Signature) -> tuple[int, ...]:
    """Return the shape of an input that ``request`` lacks."""
    if port.shape is None:
        raise SamplesError(f"input {port.name!r} has no stated rank, so no zeros stand for it; give it in the samples")
    if not port.shape:
        return ()
    sizes: dict[str, int] = {}
    batch = 1
    for other in reversed(signature.inputs):
        actual: tuple[int, ...] = getattr(request.get(other.name), "shape", ())
        if other.kind == "tensor" and other.shape and len(other.shape) == len(actual):
            sizes |= {dim: size for dim, size in zip(other.shape, actual, strict=True) if isinstance(dim, str)}
            batch = actual[0] if not isinstance(other.shape[0], int) else batch
    first = port.shape[0]
    first = f"{port.name}[0]" if first is None else first
    loose = []
    for key in roles(Signature((port,), ())):
        if key == first or "batch" in key.lower():
            sizes.setdefault(key, batch)
        elif "past" in key.lower():
            sizes.setdefault(key, 0)
        elif key not in sizes:
            loose.append(key)
    if len(loose) == 1 and isinstance(first, int):  # [2, ?, 128]: layers, batch, width
        sizes[loose.pop()] = batch
    if loose:
        raise SamplesError(
            f"input {port.name!r} is {port.expected}, and nothing says how large {loose[0]!r} is; "
            "give the first value in the samples"
        )
    return tuple(size_of(dim, port.name, axis, sizes) for axis, dim in enumerate(port.shape))
