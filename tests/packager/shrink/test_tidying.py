"""Texts, declared shapes and loose encodings of weights go."""

from onnx import TensorProto, helper

from coldpress.shrink.documentation import drop_documentation
from coldpress.shrink.draft import Draft
from coldpress.shrink.pack_tensors import pack_tensors
from coldpress.shrink.value_info import drop_value_info
from tests.support.graphs import model, node, value
from tests.support.passes import run


def test_notes_go_and_licences_stay():
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


def test_types_that_follow_go_and_others_stay():
    made = model(
        [node("Relu", ["x"], ["a"]), node("Foo", ["a"], ["b"], domain="my.ops"), node("Neg", ["b"], ["y"])],
        domains=(("my.ops", 1),),
    )
    made.graph.value_info.extend([value("a"), value("b"), value("gone")])
    draft = Draft(made)
    assert drop_value_info(draft) == 2
    assert [v.name for v in draft.proto.graph.value_info] == ["b"]


def test_varints_become_bytes():
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


def test_small_integers_stay_varints():
    w = helper.make_tensor("w", TensorProto.INT64, [3], [1, 2, 3])
    made = model([node("Cast", ["w"], ["f"], to=1), node("Add", ["x", "f"], ["y"])], weights=[w])
    assert run(pack_tensors, made)[0] == 0
