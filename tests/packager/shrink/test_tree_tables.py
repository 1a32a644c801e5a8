"""Tables of trees lose what no answer depends on, and the engine's answers stay bit for bit."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier, RandomForestRegressor

from coldpress.shrink.draft import Draft
from coldpress.shrink.strip import strip
from coldpress.shrink.tree_tables import drop_idle_tree_tables
from tests.support import models
from tests.support.graphs import answers, model, same_bits, value

X = np.random.default_rng(0).normal(size=(300, 5)).astype(np.float32)


def run(made, feeds):
    draft = Draft(made)
    count = drop_idle_tree_tables(draft)
    after = draft.restore()
    onnx.checker.check_model(after)
    assert same_bits(answers(made, feeds), answers(after, feeds))
    (trees,) = [node for node in after.graph.node if node.op_type.startswith("TreeEnsemble")]
    return count, {attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute}


def forest(kind, classes, **options):
    y = np.random.default_rng(1).integers(0, classes, len(X))
    fitted = kind(n_estimators=7, random_state=0, **options).fit(X, y)
    told = {id(fitted): {"zipmap": False}} if kind is not RandomForestRegressor else None
    return to_onnx(fitted, X[:1], options=told, target_opset=17)


@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
@pytest.mark.parametrize("classes", [3, 8])
@pytest.mark.parametrize("rows", [1, 300])
def test_weights_of_zero_go_from_a_forest_of_several_classes(kind, classes, rows):
    count, left = run(forest(kind, classes), {"X": X[:rows]})
    assert count == 4 + 2
    assert min(left["class_weights"]) > 0
    assert len(left["class_ids"]) == len(left["class_nodeids"]) == len(left["class_weights"])


def test_leaves_that_are_not_decided_keep_what_they_have():
    count, left = run(forest(RandomForestClassifier, 4, max_depth=2), {"X": X})
    assert min(left["class_weights"]) > 0
    assert count >= 2


def test_two_classes_keep_their_weights():
    _, left = run(forest(RandomForestClassifier, 2), {"X": X})
    before = forest(RandomForestClassifier, 2).graph.node[0].attribute
    (weights,) = [a.floats for a in before if a.name == "class_weights"]
    assert len(left["class_weights"]) == len(weights)


def test_a_regressor_loses_columns_and_no_weights():
    count, left = run(forest(RandomForestRegressor, 5), {"X": X})
    assert count == 2
    assert "nodes_hitrates" not in left
    assert 0.0 in left["target_weights"]


def made_by_hand(weights, **more):
    """Two trees of two leaves each, three classes; `weights` are of all classes of the four leaves."""
    attributes = {
        "classlabels_int64s": [0, 1, 2], "post_transform": "NONE", "nodes_treeids": [0] * 3 + [1] * 3,
        "nodes_nodeids": [0, 1, 2] * 2, "nodes_featureids": [0] * 6, "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        "nodes_values": [0.5, 0.0, 0.0, -0.5, 0.0, 0.0], "nodes_truenodeids": [1, 0, 0] * 2,
        "nodes_falsenodeids": [2, 0, 0] * 2, "class_treeids": [0] * 6 + [1] * 6,
        "class_nodeids": [1, 1, 1, 2, 2, 2] * 2, "class_ids": [0, 1, 2] * 4, "class_weights": weights,
    } | more  # fmt: skip
    node = helper.make_node("TreeEnsembleClassifier", ["X"], ["l", "y"], domain="ai.onnx.ml", **attributes)
    return model([node], [value("X", ("N", 5))], [value("l", ("N",), TensorProto.INT64), value("y", ("N", 3))],
                 domains=(("ai.onnx.ml", 3),))  # fmt: skip


DECIDED = [1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"])
def test_scores_are_the_same_after_every_transform(transform):
    count, left = run(made_by_hand(DECIDED, post_transform=transform), {"X": X})
    assert (count, len(left["class_weights"])) == (4, 5)


def test_a_leaf_of_zeros_keeps_them():
    count, left = run(made_by_hand([0.0] * 6 + DECIDED[6:]), {"X": X})
    assert (count, len(left["class_weights"])) == (4, 6 + 2)


@pytest.mark.parametrize(
    "more",
    [
        {"class_weights": [-1.0, *DECIDED[1:]]},
        {"class_weights": [float("nan"), *DECIDED[1:]]},
        {"base_values": [0.0, 0.25, 0.0]},
    ],
    ids=["a weight below zero", "a weight that is no number", "base values"],
)
def test_weights_stay_where_a_zero_may_matter(more):
    made = made_by_hand(DECIDED, **{name: values for name, values in more.items() if name != "class_weights"})
    if "class_weights" in more:
        made = made_by_hand(more["class_weights"])
    count, left = run(made, {"X": X})
    assert (count, len(left["class_weights"])) == (0, 12)


@pytest.mark.parametrize(("flags", "gone"), [([0] * 6, True), ([1, 0, 0, 0, 0, 0], False)])
def test_flags_for_missing_values_stay_where_one_is_set(flags, gone):
    x = X.copy()
    x[::3, 0] = np.nan
    _, left = run(made_by_hand([1.0] * 12, nodes_missing_value_tracks_true=flags), {"X": x})
    assert ("nodes_missing_value_tracks_true" not in left) == gone


@pytest.mark.models
@pytest.mark.parametrize(("name", "share"), [("digits_rf_zipmap", 0.35), ("digits_lgbm", 0.87), ("cancer_xgb", 0.95)])
def test_real_ensembles(name, share):
    made = onnx.load(models.fetch(name))
    result = strip(made)
    assert result.model.ByteSize() < share * made.ByteSize()
    for seed in range(3):
        feeds = models.feeds(name, seed)
        assert same_bits(answers(made, feeds), answers(result.model, feeds))
