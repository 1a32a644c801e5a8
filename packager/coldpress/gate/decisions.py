"""Which outputs are decisions, told from the original's answers, and how many of them a candidate keeps."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from coldpress.gate.values import Answer, Answers, Array, Scores, arrays_of, floats_of, rows

__all__ = ["Rule", "always_the_same", "decision_rules", "unchanged"]

Rule = Literal["equal", "argmax", "threshold"]
"""How to decide: values that are the decision themselves, the likeliest class of the last axis, likelier than not."""
_SUM = 1e-3
"""How far probabilities may be from adding up to 1: those in half precision are."""


def decision_rules(answers: Answers) -> dict[str, Rule]:
    """Return the outputs that are decisions in all of the original's ``answers``, with the rule for each.

    Integers, truth values and text are compared as they are. Floats of which rows add up to 1 are probabilities of
    classes, those within 0 and 1 of single events; all others (scores, embeddings, coordinates) decide nothing.
    """
    rules: dict[str, Rule] = {}
    refused: set[str] = set()
    for answer in answers:
        floats = floats_of(answer)
        for name, array in arrays_of(answer).items():
            if not array.size:
                continue
            rule: Rule | None = _of_floats(floats[name]) if name in floats else "equal"
            # One-hot probabilities of two requests may look alike under both rules: the weaker one holds for all.
            if rule == "argmax" and rules.get(name) == "threshold":
                rule = "threshold"
            if rule is None:
                refused.add(name)
            else:
                rules[name] = rule
    return {name: rule for name, rule in rules.items() if name not in refused}


def _of_floats(array: Array) -> Rule | None:
    if not bool(np.all((array >= 0) & (array <= 1 + _SUM))):
        return None
    if array.ndim and array.shape[-1] > 1 and bool(np.all(np.abs(array.sum(axis=-1) - 1) <= _SUM)):
        return "argmax"
    return "threshold" if bool(np.all(array <= 1)) else None


def unchanged(before: Answer, after: Answer, rules: Mapping[str, Rule]) -> Scores:
    """Return, for each row of one request, the share of its decisions that are the original's, float64 [rows].

    A row is an element of the first axis; what it holds besides (steps, pixels, labels) is of one piece, and counts by
    its share. Of several outputs the one that changed most counts. Another shape is a change of every decision.
    """
    old, new = arrays_of(before), arrays_of(after)
    shares = [_shares(old[name], new.get(name), rule) for name, rule in rules.items() if name in old and old[name].size]
    if not shares:
        return np.ones(1)
    if len({len(share) for share in shares}) > 1:  # a label a picture beside a value a pixel: a request is one row
        shares = [np.array([share.mean()]) for share in shares]
    least: Scores = np.minimum.reduce(shares)
    return least


def always_the_same(answers: Answers, rules: Mapping[str, Rule]) -> bool:
    """Tell whether every output decides one and the same thing in all ``answers``: then nothing can be told by it."""
    seen: dict[str, set[object]] = {name: set() for name in rules}
    for answer in answers:
        for name, array in arrays_of(answer).items():
            if name in rules:
                seen[name].update(np.unique(_decided(array, rules[name])).tolist())
                if len(seen[name]) > 1:
                    return False
    return True


def _decided(array: Array, rule: Rule) -> Array:
    if rule == "argmax" and array.size:
        return np.asarray(array.argmax(axis=-1))
    return array > 0.5 if rule == "threshold" else array


def _shares(before: Array, after: Array | None, rule: Rule) -> Scores:
    if after is None or after.shape != before.shape:
        return np.zeros(1 if rule == "argmax" and before.ndim == 1 else rows(before))
    same = np.asarray(_decided(before, rule) == _decided(after, rule))
    shares: Scores = same.reshape(rows(same), -1).mean(axis=1)
    return shares
