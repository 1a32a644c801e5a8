"""Samples as users have them, each kind read by a module of its own, made whole and checked."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from coldpress.errors import SamplesError
from coldpress.samples.completion import complete_constants, complete_states
from coldpress.samples.files import read_jsonl, read_npz
from coldpress.samples.options import SamplesOptions
from coldpress.samples.sample_set import LABEL, MAX_BYTES, SampleSet
from coldpress.samples.states import check_states
from coldpress.signature import Signature

__all__ = ["LABEL", "MAX_BYTES", "SampleSet", "SamplesOptions", "load_samples"]


def load_samples(source: str | Path, signature: Signature, options: SamplesOptions | None = None) -> SampleSet:
    """Read the samples of a source, complete them with states and constants, and cut them into single requests.

    Args:
        source: An ``.npz`` or ``.jsonl`` file keyed by input name.
        signature: Of the model.
        options: What the source does not say of itself.

    Raises:
        SamplesError: The source cannot be read, or does not match the signature.
    """
    options = options or SamplesOptions()
    check_states(options.states, signature)
    samples = _read(Path(source), signature, {*options.states, *options.constants})
    requests = complete_constants(samples.requests, signature, options.constants)
    requests = complete_states(requests, signature, options.states)
    return replace(samples, requests=requests, states=dict(options.states))


def _read(path: Path, signature: Signature, optional: Collection[str]) -> SampleSet:
    if not path.is_file():
        raise SamplesError(f"there is no sample file {path}; give an .npz or .jsonl keyed by input name")
    if path.stat().st_size > MAX_BYTES:
        raise SamplesError(f"{path.name} is {path.stat().st_size:,} bytes, over {MAX_BYTES:,}; give fewer samples")
    match path.suffix.lower():
        case ".npz":
            return read_npz(path, signature, optional)
        case ".jsonl" | ".ndjson":
            return read_jsonl(path, signature, optional)
    raise SamplesError(f"{path.name} is neither .npz nor .jsonl; save the samples as one of these, keyed by input name")
