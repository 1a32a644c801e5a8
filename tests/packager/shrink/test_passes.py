"""Each pass alone: what it removes, what it must leave, and that the answers stay bit for bit."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from coldpress.shrink.common_nodes import merge_common_nodes
from coldpress.shrink.dead_code import drop_dead_nodes, drop_unused_functions, drop_unused_initializers
from coldpress.shrink.dedup_weights import dedup_weights
from coldpress.shrink.documentation import drop_documentation
from coldpress.shrink.draft import Draft
from coldpress.shrink.dropout import drop_dropouts
from coldpress.shrink.fold_constants import fold_constants
from coldpress.shrink.hoist_constants import hoist_constants
from coldpress.shrink.identity import drop_identities
from coldpress.shrink.inline_if import inline_constant_ifs
from coldpress.shrink.modernize_inputs import modernize_inputs
from coldpress.shrink.no_ops import drop_no_ops
from coldpress.shrink.pack_tensors import pack_tensors
from coldpress.shrink.scopes import unique_names
from coldpress.shrink.value_info import drop_value_info
from tests.support.graphs import answers, constant, graph, model, node, same_bits, tensor, value

X = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
FEEDS = {"x": X}


def run(change, made, feeds=FEEDS):
    """Apply one pass; return its count and the result, after comparing answers with and without optimisation."""
    draft = Draft(made)
    unique_names(draft.proto)
    count = change(draft)
    after = draft.restore()
    for optimized in (True, False):
        assert same_bits(answers(made, feeds, optimized=optimized), answers(after, feeds, optimized=optimized))
    return count, after


def ops(made):
    return [n.op_type for n in made.graph.node]


class TestIdentities:
    def test_a_chain_of_identities_goes(self):
        made = model([
            node("Identity", ["x"], ["a"]), node("Identity", ["a"], ["b"]), node("Relu", ["b"], ["y"])
        ])  # fmt: skip
        count, after = run(drop_identities, made)
        assert (count, ops(after)) == (2, ["Relu"])

    def test_the_producer_takes_over_the_name_of_an_output(self):
        made = model([node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"])])
        count, after = run(drop_identities, made)
        assert (count, ops(after), after.graph.output[0].name) == (1, ["Relu"], "y")

    def test_other_readers_follow_the_renamed_producer(self):
        made = model(
            [node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"]), node("Neg", ["a"], ["z"])],
            outputs=[value("y"), value("z")],
        )
        count, after = run(drop_identities, made)
        assert (count, list(after.graph.node[1].input)) == (1, ["y"])

    def test_two_outputs_of_one_value_keep_one_identity(self):
        made = model(
            [node("Relu", ["x"], ["a"]), node("Identity", ["a"], ["y"]), node("Identity", ["a"], ["z"])],
            outputs=[value("y"), value("z")],
        )
        count, after = run(drop_identities, made)
        assert (count, ops(after)) == (1, ["Relu", "Identity"])

    def test_an_output_that_is_an_input_keeps_its_identity(self):
        count, after = run(drop_identities, model([node("Identity", ["x"], ["y"])]))
        assert (count, ops(after)) == (0, ["Identity"])

    def test_an_output_that_is_a_weight_keeps_its_identity(self):
        made = model([node("Identity", ["w"], ["y"])], weights=[tensor("w", X)])
        assert run(drop_identities, made)[0] == 0

    def test_a_branch_that_returns_an_outer_value_keeps_its_identity(self):
        branch = graph([node("Identity", ["x"], ["t"])], [], [value("t")])
        other = graph([node("Neg", ["x"], ["e"])], [], [value("e")])
        made = model(
            [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
            [value("x"), value("c", (), TensorProto.BOOL)],
        )
        for choice in (True, False):
            assert run(drop_identities, made, {**FEEDS, "c": np.array(choice)})[0] == 0

    def test_an_outer_identity_read_only_inside_a_branch_goes(self):
        branch = graph([node("Neg", ["a"], ["t"])], [], [value("t")])
        other = graph([node("Abs", ["a"], ["e"])], [], [value("e")])
        made = model(
            [node("Identity", ["x"], ["a"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
            [value("x"), value("c", (), TensorProto.BOOL)],
        )
        count, after = run(drop_identities, made, {**FEEDS, "c": np.array(True)})
        assert (count, ops(after)) == (1, ["If"])

    def test_a_loop_keeps_the_identity_of_its_condition(self):
        body = graph(
            [node("Identity", ["go"], ["go_on"]), node("Add", ["a", "x"], ["b"])],
            [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("a")],
            [value("go_on", (), TensorProto.BOOL), value("b")],
        )
        made = model(
            [node("Loop", ["n", "", "x"], ["y"], body=body)], weights=[tensor("n", 3, np.int64)]
        )  # fmt: skip
        assert run(drop_identities, made)[0] == 0

    def test_a_quantisation_annotation_keeps_its_name(self):
        made = model([node("Identity", ["x"], ["a"]), node("Relu", ["a"], ["y"])])
        made.graph.quantization_annotation.add(tensor_name="a")
        assert run(drop_identities, made)[0] == 0

    def test_a_join_of_one_goes(self):
        made = model([
            node("Concat", ["x"], ["a"], axis=0), node("Sum", ["a"], ["b"]), node("Relu", ["b"], ["y"])
        ])  # fmt: skip
        assert run(drop_identities, made)[0] == 2


class TestDropouts:
    @pytest.mark.parametrize("opset", [7, 10, 12, 13, 17])
    def test_inference_mode_goes(self, opset):
        made = model([node("Dropout", ["x"], ["a"]), node("Relu", ["a"], ["y"])], opset=opset)
        assert run(drop_dropouts, made)[0] == 1

    def test_a_mask_that_is_read_stays(self):
        made = model(
            [node("Dropout", ["x"], ["a", "m"]), node("Relu", ["a"], ["y"]), node("Not", ["m"], ["z"])],
            outputs=[value("y"), value("z", dtype=TensorProto.BOOL)],
        )
        assert run(drop_dropouts, made)[0] == 0

    def test_a_mask_that_is_an_output_stays(self):
        made = model(
            [node("Dropout", ["x"], ["a", "m"]), node("Relu", ["a"], ["y"])],
            outputs=[value("y"), value("m", dtype=TensorProto.BOOL)],
        )
        assert run(drop_dropouts, made)[0] == 0

    @pytest.mark.parametrize(("training", "gone"), [(False, 1), (True, 0)])
    def test_training_mode_decides(self, training, gone):
        made = model(
            [node("Dropout", ["x", "r", "t"], ["a"]), node("Relu", ["a"], ["y"])],
            weights=[tensor("r", 0.0), tensor("t", training, bool)],
        )
        assert run(drop_dropouts, made)[0] == gone

    def test_a_training_mode_given_by_the_caller_stays(self):
        made = model(
            [node("Dropout", ["x", "", "t"], ["a"]), node("Relu", ["a"], ["y"])],
            [value("x"), value("t", (), TensorProto.BOOL)],
        )
        assert run(drop_dropouts, made, {**FEEDS, "t": np.array(False)})[0] == 0

    def test_an_old_dropout_stays_unless_told_it_is_a_test(self):
        for flag, gone in ((0, 0), (1, 1)):
            made = model([node("Dropout", ["x"], ["a"], is_test=flag), node("Relu", ["a"], ["y"])], opset=6)
            assert drop_dropouts(Draft(made)) == gone


INT = np.int64
NO_OPS = {
    "cast to the same type": (node("Cast", ["x"], ["a"], to=TensorProto.FLOAT), []),
    "transpose in order": (node("Transpose", ["x"], ["a"], perm=[0, 1]), []),
    "reshape to the same": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [2, 3], INT)]),
    "reshape to zeros": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [0, 0], INT)]),
    "reshape with one free": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [2, -1], INT)]),
    "slice of all": (
        node("Slice", ["x", "b", "e", "n"], ["a"]),
        [tensor("b", [0], INT), tensor("e", [2**63 - 1], INT), tensor("n", [-1], INT)],
    ),
    "slice to the size": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0, 0], INT), tensor("e", [2, 3], INT)]
    ),
    "pad by nothing": (node("Pad", ["x", "p"], ["a"]), [tensor("p", [0, 0, 0, 0], INT)]),
    "expand to ones": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [1], INT)]),
    "expand to the same": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [2, 3], INT)]),
    "tile once": (node("Tile", ["x", "t"], ["a"]), [tensor("t", [1, 1], INT)]),
}  # fmt: skip
OPS = {
    "cast to another type": (node("Cast", ["x"], ["a"], to=TensorProto.DOUBLE), []),
    "transpose": (node("Transpose", ["x"], ["a"], perm=[1, 0]), []),
    "transpose reversing": (node("Transpose", ["x"], ["a"]), []),
    "reshape to another": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [3, 2], INT)]),
    "reshape to more": (node("Reshape", ["x", "s"], ["a"]), [tensor("s", [1, 2, 3], INT)]),
    "slice from one": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [1], INT), tensor("e", [2**31], INT)]
    ),
    "slice to one": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0], INT), tensor("e", [1], INT)]
    ),
    "slice to all but the last": (
        node("Slice", ["x", "b", "e"], ["a"]), [tensor("b", [0], INT), tensor("e", [-1], INT)]
    ),
    "slice backwards": (
        node("Slice", ["x", "b", "e", "n", "t"], ["a"]),
        [tensor("b", [-1], INT), tensor("e", [-9], INT), tensor("n", [1], INT), tensor("t", [-1], INT)],
    ),
    "pad": (node("Pad", ["x", "p"], ["a"]), [tensor("p", [0, 1, 0, 0], INT)]),
    "expand": (node("Expand", ["x", "s"], ["a"]), [tensor("s", [2, 1, 1], INT)]),
    "tile": (node("Tile", ["x", "t"], ["a"]), [tensor("t", [1, 2], INT)]),
}  # fmt: skip


class TestNoOps:
    @pytest.mark.parametrize("name", NO_OPS)
    def test_goes(self, name):
        one, weights = NO_OPS[name]
        made = model([one, node("Neg", ["a"], ["y"])], weights=weights)
        count, after = run(drop_no_ops, made)
        assert (count, ops(after)) == (1, ["Neg"])

    @pytest.mark.parametrize("name", OPS)
    def test_stays(self, name):
        one, weights = OPS[name]
        kind = TensorProto.DOUBLE if "type" in name else TensorProto.FLOAT
        made = model(
            [one, node("Neg", ["a"], ["y"])], outputs=[helper.make_tensor_value_info("y", kind, None)], weights=weights
        )
        assert run(drop_no_ops, made)[0] == 0

    def test_a_free_dimension_beside_an_unknown_one_stays(self):
        made = model(
            [node("Reshape", ["x", "s"], ["a"]), node("Neg", ["a"], ["y"])],
            [value("x", ("N", 3))],
            [value("y", (None, None))],
            [tensor("s", [2, -1], INT)],
        )
        assert run(drop_no_ops, made)[0] == 0

    def test_a_shape_declared_wrongly_is_not_believed(self):
        made = model(
            [
                node("Compress", ["x", "k"], ["c"], axis=0),
                node("Reshape", ["c", "s"], ["a"]),
                node("Neg", ["a"], ["y"]),
            ],
            outputs=[value("y", (None, None))],
            weights=[tensor("k", [True, False], bool), tensor("s", [3, 1], INT)],
        )
        made.graph.value_info.add().CopyFrom(value("c", (3, 1)))
        assert drop_no_ops(Draft(made)) == 0

    @pytest.mark.parametrize("opset", [7, 9])
    def test_attributes_of_old_opsets_are_read(self, opset):
        made = model([
            node("Slice", ["x"], ["a"], starts=[0], ends=[2**31], axes=[1]),
            node("Pad", ["a"], ["b"], pads=[0, 0, 0, 0]),
            node("Slice", ["b"], ["y"], starts=[0], ends=[1], axes=[0]),
        ], outputs=[value("y", (1, 3))], opset=opset)  # fmt: skip
        count, after = run(drop_no_ops, made)
        assert (count, ops(after)) == (2, ["Slice"])


class TestHoisting:
    def test_constants_in_every_graph_become_initialisers(self):
        branch = graph([constant("w", X), node("Add", ["x", "w"], ["t"])], [], [value("t")])
        other = graph([constant("w", X * 2), node("Add", ["x", "w"], ["e"])], [], [value("e")])
        made = model(
            [node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
            [value("x"), value("c", (), TensorProto.BOOL)],
        )
        for choice in (True, False):
            count, after = run(hoist_constants, made, {**FEEDS, "c": np.array(choice)})
        assert count == 2
        assert [len(a.g.initializer) for a in after.graph.node[0].attribute] == [1, 1]

    @pytest.mark.parametrize(
        "given",
        [
            {"value_int": 2}, {"value_ints": [1, 2, 3]}, {"value_float": 0.5}, {"value_floats": [0.5, 1.5, 2.5]}
        ],
    )  # fmt: skip
    def test_every_way_of_writing_a_number(self, given):
        made = model([
            node("Constant", [], ["c"], **given), node("Cast", ["c"], ["f"], to=1), node("Add", ["x", "f"], ["y"])
        ])  # fmt: skip
        assert run(hoist_constants, made)[0] == 1

    @pytest.mark.parametrize("given", [{"value_string": "a"}, {"value_strings": ["a", "bé"]}])
    def test_strings(self, given):
        made = model(
            [node("Constant", [], ["c"], **given), node("Identity", ["c"], ["y"])],
            outputs=[helper.make_tensor_value_info("y", TensorProto.STRING, None)],
        )
        assert run(hoist_constants, made)[0] == 1

    def test_an_output_stays_a_node(self):
        made = model([constant("y", X)])
        assert run(hoist_constants, made)[0] == 0

    def test_a_sparse_constant_stays(self):
        sparse = helper.make_sparse_tensor(tensor("v", [1.0]), tensor("i", [[0, 1]], INT), [2, 3])
        made = model([node("Constant", [], ["c"], sparse_value=sparse), node("Add", ["x", "c"], ["y"])])
        assert run(hoist_constants, made)[0] == 0


class TestDuplicates:
    def test_equal_weights_are_stored_once(self):
        made = model(
            [node("Add", ["x", "a"], ["t"]), node("Add", ["t", "b"], ["y"])],
            weights=[tensor("a", X), tensor("b", X)],
        )
        count, after = run(dedup_weights, made)
        assert (count, len(after.graph.initializer)) == (1, 1)

    def test_equal_weights_in_two_branches_move_out(self):
        big = np.arange(300, dtype=np.float32).reshape(100, 3)
        feeds = {"x": big * 2}

        def branch(out):
            return graph([node("Add", ["x", "w"], [out])], [], [value(out, (100, 3))], [tensor("w", big)])

        made = model(
            [node("If", ["c"], ["y"], then_branch=branch("t"), else_branch=branch("e"))],
            [value("x", (100, 3)), value("c", (), TensorProto.BOOL)],
            [value("y", (100, 3))],
        )
        count, after = run(dedup_weights, made, {**feeds, "c": np.array(True)})
        assert (count, len(after.graph.initializer)) == (1, 1)
        assert not any(a.g.initializer for a in after.graph.node[0].attribute)

    @pytest.mark.parametrize(
        "other",
        [
            tensor("b", X + 1),
            tensor("b", X.reshape(3, 2)),
            tensor("b", X.view(np.int32), np.int32),
            tensor("b", -X * 0),
        ],
        ids=["values", "shape", "type", "negative zero"],
    )
    def test_almost_equal_weights_stay_apart(self, other):
        zero = tensor("a", X * 0) if other.raw_data == tensor("b", -X * 0).raw_data else tensor("a", X)
        made = model([
            node("Shape", ["a"], ["s"]), node("Shape", ["b"], ["t"]), node("Relu", ["x"], ["y"])
        ], weights=[zero, other])  # fmt: skip
        assert run(dedup_weights, made)[0] == 0

    def test_a_default_that_a_caller_may_override_stays(self):
        made = model(
            [node("Add", ["x", "a"], ["t"]), node("Add", ["t", "b"], ["y"])],
            [value("x"), value("a")],
            weights=[tensor("a", X), tensor("b", X)],
        )
        assert run(dedup_weights, made)[0] == 0


class TestCommonNodes:
    def test_equal_nodes_are_computed_once(self):
        made = model([
            node("Exp", ["x"], ["a"]), node("Exp", ["x"], ["b"]), node("Neg", ["a"], ["c"]),
            node("Neg", ["b"], ["d"]), node("Add", ["c", "d"], ["y"]),
        ])  # fmt: skip
        count, after = run(merge_common_nodes, made)
        assert (count, ops(after)) == (2, ["Exp", "Neg", "Add"])

    def test_different_attributes_stay_apart(self):
        made = model([
            node("LeakyRelu", ["x"], ["a"], alpha=0.1), node("LeakyRelu", ["x"], ["b"], alpha=0.2),
            node("Add", ["a", "b"], ["y"]),
        ])  # fmt: skip
        assert run(merge_common_nodes, made)[0] == 0

    def test_random_nodes_stay_apart(self):
        made = model([
            node("RandomNormalLike", ["x"], ["a"]), node("RandomNormalLike", ["x"], ["b"]),
            node("Sub", ["a", "b"], ["y"]),
        ])  # fmt: skip
        assert merge_common_nodes(Draft(made)) == 0

    def test_two_outputs_stay_two(self):
        made = model(
            [node("Exp", ["x"], ["y"]), node("Exp", ["x"], ["z"])], outputs=[value("y"), value("z")]
        )  # fmt: skip
        assert run(merge_common_nodes, made)[0] == 0


class TestDeadCode:
    def test_a_chain_that_leads_nowhere_goes_with_its_weights(self):
        made = model(
            [node("Add", ["x", "w"], ["a"]), node("Exp", ["a"], ["b"]), node("Relu", ["x"], ["y"])],
            weights=[tensor("w", X)],
        )
        draft = Draft(made)
        assert drop_dead_nodes(draft) == 2
        assert drop_unused_initializers(draft) == 1
        assert same_bits(answers(made, FEEDS), answers(draft.restore(), FEEDS))

    def test_a_value_read_only_inside_a_branch_stays(self):
        branch = graph([node("Neg", ["a"], ["t"])], [], [value("t")])
        other = graph([node("Abs", ["x"], ["e"])], [], [value("e")])
        made = model(
            [node("Exp", ["x"], ["a"]), node("If", ["c"], ["y"], then_branch=branch, else_branch=other)],
            [value("x"), value("c", (), TensorProto.BOOL)],
        )
        assert run(drop_dead_nodes, made, {**FEEDS, "c": np.array(True)})[0] == 0

    def test_an_operator_of_an_unknown_domain_stays(self):
        made = model([node("Log", ["x"], ["a"], domain="my.company"), node("Relu", ["x"], ["y"])])
        assert drop_dead_nodes(Draft(made)) == 0

    def test_functions_nobody_calls_go(self):
        def function(name, body):
            return helper.make_function(
                "my", name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
            )

        made = model(
            [node("Outer", ["x"], ["y"], domain="my")],
            domains=(("my", 1),),
            functions=[
                function("Inner", [node("Neg", ["a"], ["b"])]),
                function("Outer", [node("Inner", ["a"], ["b"], domain="my")]),
                function("Idle", [node("Exp", ["a"], ["b"])]),
            ],
        )
        count, after = run(drop_unused_functions, made)
        assert (count, [f.name for f in after.functions]) == (1, ["Inner", "Outer"])

    def test_functions_called_by_any_overload_stay(self):
        def function(name, body, overload):
            made = helper.make_function(
                "my", name, ["a"], ["b"], body, [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
            )
            made.overload = overload
            return made

        made = model(
            [node("Outer", ["x"], ["y"], domain="my")],
            domains=(("my", 1),),
            functions=[
                function("Inner", [node("Neg", ["a"], ["b"])], ""),
                function("Outer", [node("Inner", ["a"], ["b"], domain="my")], ""),
                function("Outer", [node("Neg", ["a"], ["b"])], "other"),
            ],
            ir=10,
        )
        assert drop_unused_functions(Draft(made)) == 0


class TestInputs:
    def test_defaults_become_constants(self):
        made = model([node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], weights=[tensor("w", X)])
        count, after = run(modernize_inputs, made)
        assert (count, [i.name for i in after.graph.input]) == (1, ["x"])

    def test_a_model_of_ir_3_becomes_4(self):
        made = model(
            [node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], weights=[tensor("w", X)], ir=3, opset=8
        )
        count, after = run(modernize_inputs, made)
        assert (count, after.ir_version) == (1, 4)

    def test_inputs_of_inner_graphs_stay(self):
        body = graph(
            [node("Identity", ["go"], ["go_on"]), node("Add", ["a", "x"], ["b"])],
            [value("i", (), TensorProto.INT64), value("go", (), TensorProto.BOOL), value("a")],
            [value("go_on", (), TensorProto.BOOL), value("b")],
        )
        made = model([node("Loop", ["n", "", "x"], ["y"], body=body)], weights=[tensor("n", 3, np.int64)])
        assert run(modernize_inputs, made)[0] == 0


class TestFolding:
    def test_shape_arithmetic_is_done_once(self):
        made = model([
            node("Shape", ["x"], ["s"]), node("Gather", ["s", "one"], ["n"]), node("Mul", ["n", "two"], ["m"]),
            node("Unsqueeze", ["m", "zero"], ["u"]), node("Reshape", ["x", "u"], ["y"]),
        ], outputs=[value("y", (6,))], weights=[
            tensor("one", 1, INT), tensor("two", 2, INT), tensor("zero", [0], INT)
        ])  # fmt: skip
        count, after = run(fold_constants, made)
        assert (count, ops(after)) == (4, ["Reshape"])

    def test_the_shape_of_a_dynamic_input_stays(self):
        made = model(
            [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["z"]), node("Add", ["x", "z"], ["y"])],
            [value("x", ("N", 3))],
            [value("y", ("N", 3))],
        )
        assert run(fold_constants, made)[0] == 0

    def test_a_few_bytes_of_shape_never_become_a_large_weight(self):
        made = model(
            [
                node("ConstantOfShape", ["s"], ["z"]),
                node("ReduceSum", ["z"], ["t"], keepdims=0),
                node("Add", ["x", "t"], ["y"]),
            ],
            weights=[tensor("s", [1000, 1000], INT)],
        )
        assert run(fold_constants, made)[0] == 0

    def test_an_absurd_shape_is_not_even_tried(self):
        made = model(
            [node("ConstantOfShape", ["s"], ["z"]), node("Add", ["x", "z"], ["y"])],
            weights=[tensor("s", [10**6, 10**6, 10**6], INT)],
        )
        assert fold_constants(Draft(made)) == 0

    @pytest.mark.parametrize(("low", "to"), [(np.int8, TensorProto.FLOAT), (np.float16, TensorProto.FLOAT)])
    def test_weights_stored_small_are_not_unpacked(self, low, to):
        w = (np.arange(300).reshape(3, 100) % 7).astype(low)
        made = model(
            [node("Cast", ["w"], ["f"], to=to), node("MatMul", ["x", "f"], ["y"])],
            outputs=[value("y", (2, 100))],
            weights=[tensor("w", w, low)],
        )
        assert run(fold_constants, made)[0] == 0

    def test_a_weight_that_is_quantised_at_run_time_is_stored_quantised(self):
        rng = np.random.default_rng(0)
        w = rng.normal(size=(3, 400)).astype(np.float32)
        made = model(
            [
                node("QuantizeLinear", ["w", "s", "z"], ["q"]),
                node("DequantizeLinear", ["q", "s", "z"], ["f"]),
                node("MatMul", ["x", "f"], ["y"]),
            ],
            outputs=[value("y", (2, 400))],
            weights=[tensor("w", w), tensor("s", 0.02), tensor("z", 0, np.int8)],
        )
        count, after = run(fold_constants, made)
        assert count == 1
        assert after.ByteSize() < made.ByteSize() / 3

    def test_a_weight_read_elsewhere_is_not_stored_twice(self):
        w = np.arange(900, dtype=np.float32).reshape(300, 3)
        made = model(
            [
                node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["a"]), node("MatMul", ["a", "w"], ["y"]),
            ],
            weights=[tensor("w", w)],
        )  # fmt: skip
        assert run(fold_constants, made)[0] == 0

    def test_a_transposed_weight_is_stored_transposed(self):
        w = np.arange(900, dtype=np.float32).reshape(300, 3)
        made = model(
            [node("Transpose", ["w"], ["t"]), node("MatMul", ["x", "t"], ["y"])],
            outputs=[value("y", (2, 300))],
            weights=[tensor("w", w)],
        )
        assert run(fold_constants, made)[0] == 1

    def test_random_numbers_are_not_drawn_here(self):
        made = model([node("RandomNormal", [], ["r"], shape=[2, 3]), node("Add", ["x", "r"], ["y"])])
        assert fold_constants(Draft(made)) == 0

    def test_sums_of_floats_are_left_to_the_cpu_that_runs_them(self):
        made = model(
            [node("Exp", ["w"], ["e"]), node("Add", ["x", "e"], ["y"])], weights=[tensor("w", X)]
        )  # fmt: skip
        assert run(fold_constants, made)[0] == 0

    def test_what_a_caller_may_override_is_not_folded(self):
        made = model(
            [node("Neg", ["w"], ["a"]), node("Add", ["x", "a"], ["y"])],
            [value("x"), value("w")],
            weights=[tensor("w", X)],
        )
        assert run(fold_constants, made)[0] == 0

    def test_an_arithmetic_error_is_left_to_the_runtime(self):
        made = model(
            [node("Gather", ["w", "i"], ["a"]), node("Add", ["x", "a"], ["y"])],
            weights=[tensor("w", X), tensor("i", 99, INT)],
        )
        assert fold_constants(Draft(made)) == 0


class TestConstantIf:
    def make(self, condition):
        branch = graph(
            [node("Add", ["x", "w"], ["t"]), node("Neg", ["t"], ["u"])], [], [value("u")], [tensor("w", X)]
        )  # fmt: skip
        other = graph([node("Mul", ["x", "w"], ["t"])], [], [value("t")], [tensor("w", X * 3)])
        return model(
            [
                constant("c", condition, bool),
                node("If", ["c"], ["i"], then_branch=branch, else_branch=other),
                node("Abs", ["i"], ["y"]),
            ],
            weights=[],
        )

    @pytest.mark.parametrize("condition", [True, False])
    def test_the_branch_takes_its_place(self, condition):
        count, after = run(inline_constant_ifs, self.make(condition))
        assert count == 1
        assert "If" not in ops(after)

    def test_a_branch_that_returns_its_own_weight(self):
        branch = graph([], [], [value("w")], [tensor("w", X)])
        other = graph([node("Neg", ["x"], ["t"])], [], [value("t")])
        made = model([
            constant("c", [True], bool), node("If", ["c"], ["i"], then_branch=branch, else_branch=other),
            node("Add", ["x", "i"], ["y"]),
        ])  # fmt: skip
        assert run(inline_constant_ifs, made)[0] == 1

    def test_a_condition_from_the_caller_stays(self):
        made = self.make(True)
        made.graph.input.add().CopyFrom(value("c", (), TensorProto.BOOL))
        del made.graph.node[0]
        for choice in (True, False):
            assert run(inline_constant_ifs, made, {**FEEDS, "c": np.array(choice)})[0] == 0


class TestTidying:
    def test_notes_go_and_licences_stay(self):
        made = model([node("Relu", ["x"], ["y"], doc_string="File train.py, line 3")])
        made.doc_string = "Licensed under MIT"
        made.graph.node[0].metadata_props.add(key="pkg.torch.onnx.stack_trace", value="File /home/me/train.py")
        helper.set_model_props(made, {"license": "MIT", "character": "abc"})
        count, after = run(drop_documentation, made)
        assert count == 1
        assert b"train.py" not in after.SerializeToString()
        assert (after.doc_string, {e.key for e in after.metadata_props}) == (
            "Licensed under MIT",
            {"license", "character"},
        )

    def test_types_that_follow_go_and_others_stay(self):
        made = model(
            [node("Relu", ["x"], ["a"]), node("Foo", ["a"], ["b"], domain="my.ops"), node("Neg", ["b"], ["y"])],
            domains=(("my.ops", 1),),
        )
        made.graph.value_info.extend([value("a"), value("b"), value("gone")])
        draft = Draft(made)
        assert drop_value_info(draft) == 2
        assert [v.name for v in draft.proto.graph.value_info] == ["b"]

    def test_varints_become_bytes(self):
        w = helper.make_tensor("w", TensorProto.INT8, [300], [-1] * 300)
        made = model(
            [
                node("Cast", ["w"], ["f"], to=1),
                node("ReduceMax", ["f"], ["m"], keepdims=0),
                node("Add", ["x", "m"], ["y"]),
            ],
            weights=[w],
        )
        count, after = run(pack_tensors, made)
        assert count == 1
        assert made.ByteSize() - after.ByteSize() > 2500

    def test_small_integers_stay_varints(self):
        w = helper.make_tensor("w", TensorProto.INT64, [3], [1, 2, 3])
        made = model([node("Cast", ["w"], ["f"], to=1), node("Add", ["x", "f"], ["y"])], weights=[w])
        assert run(pack_tensors, made)[0] == 0
