"""A Hugging Face ``tokenizer.json`` with fewer tokens, numbered anew.

The file's format is that of the ``tokenizers`` library (``tokenizers/src/models`` and ``processors`` there). Four of
its models can lose tokens soundly: a text whose tokens all stay is still cut into these same tokens.

- **WordLevel** looks words up.
- **WordPiece** takes the longest token that fits, which is still the longest when others are gone. Only where a word
  could not be cut before, so that it became the unknown token, may fewer tokens now cut it.
- **Unigram** takes the cut with the best sum of scores, which is still the best when others are gone; the token with
  the lowest score stays, because the penalty of an unknown character is measured from it.
- **BPE** makes the merge of the lowest rank over and over; those that make a token that stays do, too.
"""

import copy
import json
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

from coldpress.errors import VocabularyError

__all__ = ["kept_tokens", "renumbered", "token_ids"]

_SUPPORTED = ("WordLevel", "WordPiece", "Unigram", "BPE")
_NO_IDS = frozenset({"ByteLevel"})
"""Post-processors that name no token."""


def kept_tokens(tokenizer: dict[str, Any], keep: Collection[int]) -> list[int]:
    """Return the ids that stay, in order: ``keep``, and what the tokenizer cannot do without.

    That is every added token (special ones are), the unknown token, the tokens for single bytes, what the merges of BPE
    pass through on the way to a token that stays, and Unigram's token of the lowest score.

    Raises:
        VocabularyError: The tokenizer is of another kind, or ``keep`` holds an id that it does not have.
    """
    kind, model = _kind(tokenizer), tokenizer["model"]
    ids, known = _ids(tokenizer), token_ids(tokenizer)
    if odd := sorted(set(keep) - known):
        raise VocabularyError(
            f"{odd[0]} is to be kept and is no token of this tokenizer, which has {len(known)}; "
            "take the ids from texts that this very tokenizer has cut."
        )
    kept = set(keep) | {token["id"] for token in tokenizer.get("added_tokens") or ()}
    kept |= {number for token, number in ids.items() if _is_byte(token)}
    kept |= _named(tokenizer)
    if kind == "Unigram":
        scores = [score for _, score in model["vocab"]]
        kept.add(scores.index(min(scores)))
        if model.get("unk_id") is not None:
            kept.add(model["unk_id"])
    elif model.get("unk_token") in ids:
        kept.add(ids[model["unk_token"]])
    if kind == "BPE":
        _refuse_unsound(model)
        kept |= _bytes(tokenizer, ids)
        kept |= _on_the_way(model, ids, kept)
    return sorted(kept)


def token_ids(tokenizer: dict[str, Any]) -> set[int]:
    """Return the ids of all its tokens, added ones included."""
    return set(_ids(tokenizer).values()) | {token["id"] for token in tokenizer.get("added_tokens") or ()}


def renumbered(tokenizer: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """Return a copy of the tokenizer with the tokens of ``kept`` alone, the first with id 0, and so on."""
    new = {old: number for number, old in enumerate(kept)}
    made = copy.deepcopy(tokenizer)
    model = made["model"]
    if _kind(tokenizer) == "Unigram":
        model["vocab"] = [model["vocab"][old] for old in kept if old < len(model["vocab"])]
        if model.get("unk_id") is not None:
            model["unk_id"] = new[model["unk_id"]]
    else:
        model["vocab"] = {token: new[old] for token, old in model["vocab"].items() if old in new}
    if _kind(tokenizer) == "BPE":
        prefix = model.get("continuing_subword_prefix") or ""
        left = model["vocab"]
        model["merges"] = [
            merge
            for merge in model["merges"]
            if all(part in left for part in (*_pair(merge), _joined(*_pair(merge), prefix)))
        ]
    for token in made.get("added_tokens") or ():
        token["id"] = new[token["id"]]
    if made.get("padding"):
        made["padding"]["pad_id"] = new[made["padding"]["pad_id"]]
    for processor in _processors(made.get("post_processor")):
        for name in ("sep", "cls"):
            if name in processor:
                processor[name] = [processor[name][0], new[processor[name][1]]]
        for special in _specials(processor):
            special["ids"] = [new[old] for old in special["ids"]]
    return made


def _kind(tokenizer: dict[str, Any]) -> str:
    model = tokenizer.get("model")
    if not isinstance(model, dict) or "vocab" not in model:
        raise VocabularyError("This is no tokenizer.json of the tokenizers library: it has no model with a vocab.")
    kind = model.get("type")
    if kind is None:  # older files leave it out
        if "merges" in model:
            kind = "BPE"
        elif isinstance(model["vocab"], list):
            kind = "Unigram"
        else:
            kind = "WordPiece" if "max_input_chars_per_word" in model else "WordLevel"
    if kind not in _SUPPORTED:
        raise VocabularyError(
            f"The tokenizer is of the kind {kind!r}, whose vocabulary cannot be trimmed; {', '.join(_SUPPORTED)} can."
        )
    return str(kind)


def _ids(tokenizer: dict[str, Any]) -> dict[str, int]:
    vocab = tokenizer["model"]["vocab"]
    return {entry[0]: place for place, entry in enumerate(vocab)} if isinstance(vocab, list) else dict(vocab)


def _is_byte(token: str) -> bool:
    """Whether a token stands for one byte, as ``<0x0A>`` does where ``byte_fallback`` is on."""
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _named(tokenizer: dict[str, Any]) -> set[int]:
    """Return the ids that padding and post-processing put in by themselves."""
    named = {tokenizer["padding"]["pad_id"]} if tokenizer.get("padding") else set()
    for processor in _processors(tokenizer.get("post_processor")):
        named |= {processor[name][1] for name in ("sep", "cls") if name in processor}
        named |= {number for special in _specials(processor) for number in special["ids"]}
    return named


def _processors(processor: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    if processor is None:
        return
    if processor["type"] == "Sequence":
        for inner in processor["processors"]:
            yield from _processors(inner)
    elif processor["type"] in {"TemplateProcessing", "BertProcessing", "RobertaProcessing"}:
        yield processor
    elif processor["type"] not in _NO_IDS:
        raise VocabularyError(
            f"The tokenizer ends with the post-processor {processor['type']!r}, in which token ids may be hidden; "
            "its vocabulary cannot be trimmed."
        )


def _specials(processor: dict[str, Any]) -> list[dict[str, Any]]:
    return list(processor["special_tokens"].values()) if processor["type"] == "TemplateProcessing" else []


def _refuse_unsound(model: dict[str, Any]) -> None:
    if model.get("dropout"):
        raise VocabularyError("The tokenizer leaves merges out by chance (dropout); its vocabulary cannot be trimmed.")
    if model.get("end_of_word_suffix"):
        raise VocabularyError(
            "The tokenizer marks the ends of words by a suffix, which trimming does not know how to follow; "
            "its vocabulary cannot be trimmed."
        )


def _bytes(tokenizer: dict[str, Any], ids: dict[str, int]) -> set[int]:
    """Return the tokens of single characters where those stand for bytes, of which any text may hold each."""
    if '"ByteLevel"' not in json.dumps(tokenizer.get("pre_tokenizer")):
        return set()
    return {number for token, number in ids.items() if len(token) == 1}


def _on_the_way(model: dict[str, Any], ids: dict[str, int], kept: set[int]) -> set[int]:
    """Return the tokens that merging passes through to make those in ``kept``."""
    prefix = model.get("continuing_subword_prefix") or ""
    ranks = {_pair(merge): rank for rank, merge in enumerate(model["merges"])}
    found: set[int] = set()
    for token, number in ids.items():
        if number not in kept:
            continue
        parts = _letters(token, prefix)
        found.update(ids[part] for part in parts if part in ids)
        while len(parts) > 1:
            rank, place = min((ranks.get((a, b), len(ranks)), i) for i, (a, b) in enumerate(pairwise(parts)))
            if rank == len(ranks):
                break  # such a token is not made by merges
            parts[place : place + 2] = [_joined(parts[place], parts[place + 1], prefix)]
            found.add(ids[parts[place]])
    return found


def _letters(token: str, prefix: str) -> list[str]:
    inside = bool(prefix) and token.startswith(prefix)
    return [prefix + letter if place or inside else letter for place, letter in enumerate(token.removeprefix(prefix))]


def _pair(merge: str | list[str]) -> tuple[str, str]:
    """Return the two sides of a merge, which older files write as one string."""
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


def _joined(left: str, right: str, prefix: str) -> str:
    return left + right.removeprefix(prefix)
