"""Trimming a vocabulary: a model and its tokenizer, both with fewer tokens and the same numbers for them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto

from coldpress.errors import VocabularyError
from coldpress.vocabulary.model import with_rows
from coldpress.vocabulary.tokenizer import kept_tokens, renumbered

__all__ = ["trim_vocabulary", "used_tokens"]


def trim_vocabulary(
    model: ModelProto, tokenizer: dict[str, Any], keep: Collection[int], ids: str, *, scores: bool = False
) -> tuple[ModelProto, dict[str, Any]]:
    """Return the model and its tokenizer with the tokens of ``keep``, and those that cannot go, alone.

    A text that the old tokenizer cuts into tokens of ``keep`` alone, the unknown one not among them, is cut into the
    same tokens by the new one, and the new model answers for it like the old one, bit for bit. Other texts are cut
    into shorter pieces or unknown tokens: that is a loss nothing here bounds, which is why trimming is never done
    unasked.

    Args:
        model: The text model; it stays as it is.
        tokenizer: What its ``tokenizer.json`` holds; it stays as it is.
        keep: Token ids of the old tokenizer.
        ids: The name of the input that takes token ids.
        scores: Also trim outputs that have a score for each token, as ``with_rows`` says; else they are refused.

    Raises:
        VocabularyError: One of the two cannot lose tokens; it says why.
    """
    if not keep:
        raise VocabularyError("No token is to be kept; give texts, or ids, that the model is meant for.")
    kept = kept_tokens(tokenizer, keep)
    return with_rows(model, kept, ids, scores=scores), renumbered(tokenizer, kept)


def used_tokens(requests: Iterable[Mapping[str, Any]], ids: str) -> set[int]:
    """Return the token ids in samples: in the input ``ids`` of each request, by name."""
    found: set[int] = set()
    for request in requests:
        found.update(int(number) for number in np.unique(np.asarray(request[ids])))
    return found
