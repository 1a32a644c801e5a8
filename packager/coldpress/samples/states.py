"""States of a model that remembers: an output of one request is an input of the next.

A voice detector or a streaming recogniser answers a piece of sound at a time and hands on what it heard so far. Such a
model can only be judged on whole sequences, each request fed with what the same model answered to the one before.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from coldpress.errors import SamplesError
from coldpress.samples.sample_set import SampleSet
from coldpress.signature import Signature

__all__ = ["answers", "check_states", "likely_states", "state_advice"]

Request = Mapping[str, Any]


def answers(run: Callable[[Request], Mapping[str, Any]], samples: SampleSet) -> Iterator[Mapping[str, Any]]:
    """Yield a model's answer to every request, in order, handing states on within a sequence.

    Args:
        run: The model, as a function from inputs to outputs by name.
        samples: The first request of a sequence uses its own states; in the later ones the outputs that
            ``samples.states`` names take their place. Without sequences every request stands alone.

    Raises:
        SamplesError: The model gives no such output, or one of another element type or rank than the input.
    """
    held: dict[int, dict[str, Any]] = {}
    for place, request in enumerate(samples.requests):
        if not (samples.states and samples.sequence):
            yield run(request)
            continue
        number = samples.sequence[place]
        answer = run({**request, **held.get(number, {})})
        held[number] = {name: _handed_on(answer, source, request[name]) for name, source in samples.states.items()}
        yield answer


def _handed_on(answer: Mapping[str, Any], output: str, first: Any) -> Any:
    if output not in answer:
        raise SamplesError(f"the model answers no {output!r}, which `states` names; it answers {', '.join(answer)}")
    value, outline = answer[output], (first.dtype, first.ndim)
    if (getattr(value, "dtype", None), getattr(value, "ndim", None)) != outline:
        raise SamplesError(
            f"output {output!r} is {getattr(value, 'dtype', type(value).__name__)} "
            f"{list(getattr(value, 'shape', ()))}, and the state that it feeds is {first.dtype} {list(first.shape)}; "
            "name the output of the same kind in `states`"
        )
    return value


def check_states(states: Mapping[str, str], signature: Signature) -> None:
    """Refuse states that are no input, or come from no output, or from one of another element type.

    Raises:
        SamplesError: What is wrong, and what the model has.
    """
    inputs = {port.name: port for port in signature.inputs}
    outputs = {port.name: port for port in signature.outputs}
    for name, source in states.items():
        if name not in inputs:
            raise SamplesError(f"`states` names {name!r}, no input of the model; its inputs are {', '.join(inputs)}")
        if source not in outputs:
            raise SamplesError(
                f"`states` feeds {name!r} from {source!r}, no output of the model; its outputs are {', '.join(outputs)}"
            )
        if inputs[name].kind != "tensor" or inputs[name].type != outputs[source].type:
            raise SamplesError(
                f"`states` feeds {name!r}, {inputs[name].expected}, from {source!r}, {outputs[source].expected}; "
                "a state needs an output of its own element type"
            )


def likely_states(signature: Signature) -> dict[str, str]:
    """Guess the states from names and kinds: ``state`` from ``stateN``, ``past.0.key`` from ``present.0.key``.

    For advice in an error; nobody's model is run on a guess.
    """
    found = {}
    for port in signature.inputs:
        stem = port.name.lower().replace("past", "present").removesuffix("_in").removesuffix("0")
        alike = [p.name for p in signature.outputs if p.type == port.type and p.name.lower().startswith(stem)]
        if stem and len(alike) == 1:
            found[port.name] = alike[0]
    return found


def state_advice(name: str, signature: Signature) -> str:
    """Return the line to write if an input that samples lack is a state, as the end of a sentence; else nothing."""
    source = likely_states(signature).get(name)
    return f"; if {name!r} is a state, say so: states = {{ {_toml(name)} = {_toml(source)} }}" if source else ""


def _toml(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
