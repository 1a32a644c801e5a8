"""Columns and rows of tree ensembles that no answer depends on.

Converters write a hit rate for each node, which is for readers, whether missing values go left, even where none does,
and for each leaf the weight of every class, most of which are 0 in a forest of decided leaves.
"""

import numpy as np
from onnx import AttributeProto, NodeProto, helper

from coldpress.shrink.draft import Draft
from coldpress.shrink.scopes import scopes

__all__ = ["drop_idle_tree_tables"]

_OPERATORS = frozenset({"TreeEnsembleClassifier", "TreeEnsembleRegressor"})
_HIT_RATES = frozenset({"nodes_hitrates", "nodes_hitrates_as_tensor"})
_LEAF_COLUMNS = ("class_treeids", "class_nodeids", "class_ids")


def drop_idle_tree_tables(draft: Draft) -> int:
    """Remove hit rates, flags for missing values that are all 0, and leaves' weights of 0; return how many columns.

    Weights of 0 go from classifiers of three classes or more, without base values, whose weights are all 0 or more:
    there a sum with them is the same bit for bit, and the largest is above 0, so that a class without a weight never
    wins. With two classes ONNX Runtime asks whether the second one has a weight at all (its file
    ``tree_ensemble_aggregator.h``). A leaf that has no other weight keeps them.
    """
    changed = 0
    for scope in scopes(draft.proto):
        for node in scope.body.node:
            if node.domain != "ai.onnx.ml" or node.op_type not in _OPERATORS:
                continue
            kept = [attribute for attribute in node.attribute if not _is_idle(attribute)]
            changed += len(node.attribute) - len(kept)
            if node.op_type == "TreeEnsembleClassifier":
                changed += _drop_zero_weights(kept)
            _set_attributes(node, kept)
    return changed


def _is_idle(attribute: AttributeProto) -> bool:
    if attribute.ref_attr_name:
        return False
    missing = attribute.name == "nodes_missing_value_tracks_true"
    return attribute.name in _HIT_RATES or (missing and not any(attribute.ints))


def _drop_zero_weights(attributes: list[AttributeProto]) -> int:
    """Take the rows of weight 0 out of the leaves' columns, in place; return how many columns became shorter."""
    table = {attribute.name: attribute for attribute in attributes}
    labels = max((len(a.ints or a.strings) for name, a in table.items() if name.startswith("classlabels_")), default=0)
    if labels < 3 or any(name.startswith("base_values") for name in table):
        return 0
    columns = ("class_weights", *_LEAF_COLUMNS)
    if any(name not in table or table[name].ref_attr_name for name in columns):
        return 0
    weights = np.array(table["class_weights"].floats, np.float32)
    trees, nodes, _ = rows = [np.array(table[name].ints, np.int64) for name in _LEAF_COLUMNS]
    if any(len(row) != len(weights) for row in rows) or not np.all(weights >= 0):
        return 0
    leaves, of = np.unique(np.stack([trees, nodes]), axis=1, return_inverse=True)
    decided = np.zeros(leaves.shape[1], bool)
    decided[of.reshape(-1)[weights > 0]] = True
    keep = (weights > 0) | np.signbit(weights) | ~decided[of.reshape(-1)]
    if keep.all():
        return 0
    for name in columns:
        values = table[name].floats if name == "class_weights" else table[name].ints
        left = [value for value, wanted in zip(values, keep, strict=True) if wanted]
        table[name].CopyFrom(helper.make_attribute(name, left))
    return len(columns)


def _set_attributes(node: NodeProto, attributes: list[AttributeProto]) -> None:
    copies = [AttributeProto.FromString(attribute.SerializeToString()) for attribute in attributes]
    del node.attribute[:]
    node.attribute.extend(copies)
