"""Samples as users have them, each kind read by a module of its own, made whole and checked."""

from dataclasses import replace
from pathlib import Path

from coldpress.errors import SamplesError
from coldpress.samples import images, sounds
from coldpress.samples.callables import CALLABLE, read_callable
from coldpress.samples.completion import complete_constants, complete_states
from coldpress.samples.files import read_jsonl, read_npz
from coldpress.samples.folder import read_folder
from coldpress.samples.options import SamplesOptions
from coldpress.samples.sample_set import LABEL, MAX_BYTES, SampleSet
from coldpress.samples.states import check_states, state_advice
from coldpress.signature import Signature

__all__ = ["LABEL", "MAX_BYTES", "SampleSet", "SamplesOptions", "load_samples"]

_KINDS = "an .npz or .jsonl keyed by input name, a folder of pictures or WAV files, or module:function"


def load_samples(source: str | Path, signature: Signature, options: SamplesOptions | None = None) -> SampleSet:
    """Read the samples of a source, complete them with states and constants, and cut them into single requests.

    Args:
        source: An ``.npz`` or ``.jsonl`` file keyed by input name, a folder of pictures or of WAV files, or
            ``module:function``, a function that gives requests.
        signature: Of the model.
        options: What the source does not say of itself.

    Raises:
        SamplesError: The source cannot be read, or does not match the signature.
    """
    options = options or SamplesOptions()
    check_states(options.states, signature)
    samples = _read(source, signature, options)
    requests = complete_constants(samples.requests, signature, options.constants)
    requests = complete_states(requests, signature, options.states)
    return replace(samples, requests=requests, states=dict(options.states))


def _read(source: str | Path, signature: Signature, options: SamplesOptions) -> SampleSet:
    path = Path(source)
    optional = {*options.states, *options.constants}
    if path.is_dir():
        return _read_folder(path, signature, options)
    if not path.exists() and CALLABLE.fullmatch(path.name):
        return read_callable(str(source), signature, optional, options.most)
    if not path.is_file():
        raise SamplesError(f"there is no sample file {path}; give {_KINDS}")
    if path.stat().st_size > MAX_BYTES:
        raise SamplesError(f"{path.name} is {path.stat().st_size:,} bytes, over {MAX_BYTES:,}; give fewer samples")
    match path.suffix.lower():
        case ".npz":
            return read_npz(path, signature, optional)
        case ".jsonl" | ".ndjson":
            return read_jsonl(path, signature, optional)
    raise SamplesError(f"{path.name} is neither .npz nor .jsonl; give {_KINDS}")


def _read_folder(path: Path, signature: Signature, options: SamplesOptions) -> SampleSet:
    folder = read_folder(path, images.SUFFIXES | sounds.SUFFIXES)
    heard = {file.suffix.lower() in sounds.SUFFIXES for file in folder.files}
    if len(heard) == 2:
        raise SamplesError(f"the folder {path} holds both pictures and sound; give a folder of one kind")
    free = [p for p in signature.inputs if p.name not in options.states and p.name not in options.constants]
    if len(free) != 1:
        names = ", ".join(f"{port.name} {port.expected}" for port in free) or "none"
        advice = next(filter(None, (state_advice(port.name, signature) for port in free)), "")
        raise SamplesError(
            f"a folder feeds one input, and the model has {len(free)} that are neither states nor constants ({names}); "
            f"name the others in `states` and `constants`, or give .npz or a function{advice}"
        )
    read = sounds.read_sounds if heard.pop() else images.read_images
    return read(folder.spread(options.most), free[0], options)
