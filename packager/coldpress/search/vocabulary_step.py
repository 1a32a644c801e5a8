"""The vocabulary, trimmed to the tokens that the user's samples use, before anything else is made smaller.

Ids are numbered anew, so model, tokenizer and samples change together. On every sample the trimmed model must answer
like the user's own, bit for bit; from then on it is what a smaller model must answer like. What is lost, words that no
sample has, no sample can show: the notes estimate it.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coldpress.console import progress
from coldpress.errors import VocabularyError
from coldpress.model.files import write_model
from coldpress.reference import Reference, compare_outputs
from coldpress.samples.sample_set import SampleSet
from coldpress.samples.states import answers
from coldpress.search.inputs import Inputs
from coldpress.search.task import Task
from coldpress.signature import Signature
from coldpress.vocabulary.tokenizer import kept_tokens, token_ids
from coldpress.vocabulary.trim import trim_vocabulary, used_tokens

__all__ = ["TRIMMED", "ids_input", "trim_inputs", "unseen_tokens"]

TRIMMED = "trim-vocabulary"
"""The word that stands for this step in recipes."""
_NAMES = ("input_ids", "ids", "token_ids")
_WHOLE = ("INT32", "INT64")


def trim_inputs(task: Task, given: Inputs, work: Path) -> Inputs:
    """Return the model with the tokens of its samples alone, and the samples in its ids; ``given`` where not asked for.

    Args:
        task: Says where the tokenizer is.
        given: The user's model and samples.
        work: Folder for the trimmed model.

    Raises:
        VocabularyError: The model or its tokenizer cannot lose tokens, or answers would change.
    """
    if task.tokenizer is None:
        return given
    with progress("trim the vocabulary to the tokens of the samples"):
        ids = ids_input(given.reference.signature, task.token_ids)
        tokenizer = _read(task.tokenizer)
        sets = [part for part in (given.samples, given.calibration) if part is not None]
        requests = [request for part in sets for request in part.requests]
        used = used_tokens(requests, ids)
        model, smaller = trim_vocabulary(given.model, tokenizer, used, ids)
        kept = kept_tokens(tokenizer, used)
        path = work / "trimmed.onnx"
        write_model(model, path)
        trimmed = Reference(path)
        renumbered = [_renumbered(part, ids, kept) for part in sets]
        for old, new in zip(sets, renumbered, strict=True):
            _check_equal(given.reference, old, trimmed, new)
    texts, unseen = unseen_tokens(requests, ids, kept_tokens(tokenizer, ()))
    note = (
        f"The vocabulary was trimmed to {len(kept):,} of {len(token_ids(tokenizer)):,} tokens: those of the {texts:,} "
        "texts in the samples, and those that cannot go. Other words are cut into shorter pieces or become the unknown "
        f"token; a further text like these is likely to hold about {unseen:.2g} tokens that are gone."
    )
    return replace(
        given,
        path=path,
        model=model,
        reference=trimmed,
        samples=renumbered[0],
        calibration=renumbered[1] if len(renumbered) > 1 else None,
        tokenizer=json.dumps(smaller, indent=2, ensure_ascii=False) + "\n",
        recipe=(TRIMMED,),
        notes=(
            note,
            "Ids are new: requests must be made with the tokenizer that is written with the model.",
            "Times and memory are held against the model with the trimmed vocabulary.",
        ),
    )


def ids_input(signature: Signature, wanted: str | None) -> str:
    """Return the name of the input that takes token ids: ``wanted``, or the one whose name says so.

    Raises:
        VocabularyError: There is none, or more than one.
    """
    whole = [port.name for port in signature.inputs if port.datatype in _WHOLE]
    found = [name for name in whole if name in _NAMES] if wanted is None else [name for name in whole if name == wanted]
    if len(found) != 1:
        what = f"none of the names {', '.join(_NAMES)}" if not found else f"{len(found)} such names"
        what = what if wanted is None else f"no input {wanted!r} of whole numbers"
        raise VocabularyError(
            f"The model has {what}; its inputs of whole numbers are {', '.join(whole) or 'none'}. "
            "Name the one that takes token ids: --token-ids, or `shrink.token_ids`."
        )
    return found[0]


def unseen_tokens(requests: Collection[Mapping[str, Any]], ids: str, always: Collection[int]) -> tuple[int, float]:
    """Return the number of texts, and how many tokens that none of them has a further text is expected to hold.

    By Good and Turing that is the number of tokens that one text alone has, over the number of texts (Good, "The
    population frequencies of species", Biometrika 40, 1953; for samples of sets: Chao and Colwell, 2017).

    Args:
        requests: Their input ``ids`` holds a text in each row of its last axis.
        ids: The input's name.
        always: Tokens that stay anyway.
    """
    texts = [row for request in requests for row in _rows(np.asarray(request[ids]))]
    seen = Counter(int(number) for text in texts for number in np.unique(text))
    for number in always:
        del seen[number]
    return len(texts), sum(count == 1 for count in seen.values()) / max(1, len(texts))


def _rows(ids: np.ndarray) -> np.ndarray:
    length = ids.shape[-1] if ids.ndim else 1
    return ids.reshape(ids.size // max(1, length), length)


def _read(path: Path) -> dict[str, Any]:
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VocabularyError(f"{path} cannot be read as JSON ({error}); give the model's tokenizer.json.") from None
    if not isinstance(tokenizer, dict):
        raise VocabularyError(f"{path} holds no JSON object; give the model's tokenizer.json.")
    return tokenizer


def _renumbered(samples: SampleSet, ids: str, kept: list[int]) -> SampleSet:
    """Return the samples with each id replaced by its place in ``kept``, which holds them all in order."""

    def places(values: Any) -> np.ndarray:
        old = np.asarray(values)
        return np.searchsorted(kept, old).astype(old.dtype)

    return replace(samples, requests=tuple({**request, ids: places(request[ids])} for request in samples.requests))


def _check_equal(before: Reference, old: SampleSet, after: Reference, new: SampleSet) -> None:
    pairs = zip(answers(before.run, old), answers(after.run, new), strict=True)
    for number, (expected, got) in enumerate(pairs, 1):
        found = compare_outputs(expected, got, before.drawn)
        if not found.equal:
            what = found.structure or f"by up to {found.max_abs:.3g}"
            raise VocabularyError(
                f"With a trimmed vocabulary the model answers sample {number} differently ({what}); "
                "leave --trim-vocabulary out."
            )
