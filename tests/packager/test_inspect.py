"""Inspection: what it finds where, and what the command prints."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from coldpress.cli import main
from coldpress.inspect import inspect_model
from tests.support import models
from tests.support.graphs import constant, graph, model, node, tensor, value

X = np.arange(6, dtype=np.float32).reshape(2, 3)
BIG = np.arange(300, dtype=np.float32).reshape(3, 100)


@pytest.fixture
def path(tmp_path):
    """A model with weights everywhere: initialisers, Constant nodes, branches, a function, a sparse one."""
    branch = graph([constant("cw", X), node("Add", ["x", "cw"], ["t"])], [], [value("t")], [tensor("iw", X)])
    other = graph([node("Leak", ["x"], ["e"], domain="my")], [], [value("e")])
    function = helper.make_function(
        "my", "Leak", ["a"], ["b"], [constant("k", X), node("Mul", ["a", "k"], ["b"])], [helper.make_opsetid("", 17)]
    )
    made = model(
        [
            constant("w1", X),
            node("Add", ["x", "w1"], ["a"]),
            node("If", ["c"], ["b"], then_branch=branch, else_branch=other),
            node("Add", ["a", "b"], ["d"]),
            node("Add", ["d", "sp"], ["y"]),
            node("MatMul", ["y", "big"], ["z"]),
        ],
        [value("x", ("N", 3)), value("c", (), TensorProto.BOOL)],
        [value("y", None), value("z", ("N", 100))],
        [tensor("big", BIG), tensor("again", BIG)],
        domains=(("my", 1),),
        functions=[function],
    )
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(tensor("sp", [1.0]), tensor("sp_indices", [1], np.int64), [2, 3])
    )
    made.producer_name, made.producer_version = "pytorch", "2.9"
    helper.set_model_props(made, {"license": "MIT"})
    onnx.save(made, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_weights_are_found_in_every_place(path):
    found = inspect_model(path).by("place")
    assert found == {
        "initialisers": 2400,
        "initialisers in subgraphs": 24,
        "Constant nodes": 24,
        "Constant nodes in subgraphs": 24,
        "functions": 24,
        "sparse initialisers": 12,
    }


def test_bytes_go_to_the_operator_that_reads_them(path):
    found = inspect_model(path).by("used_by")
    assert (found["MatMul"], found["(nothing)"], found["Mul"]) == (1200, 1224, 24)


def test_counts_include_branches_and_functions(path):
    found = inspect_model(path)
    assert found.nodes == {"Add": 4, "Constant": 3, "If": 1, "my.Leak": 1, "MatMul": 1, "Mul": 1}
    assert (found.subgraphs, found.functions) == (2, 1)
    assert found.parameters == 300 * 2 + 6 * 4 + 2


def test_the_signature_is_the_files_own(path):
    found = inspect_model(path)
    assert [(port.name, port.type, port.shape) for port in found.inputs] == [
        ("x", "float", ("N", 3)),
        ("c", "bool", ()),
    ]
    assert [(port.name, port.shape) for port in found.outputs] == [("y", None), ("z", ("N", 100))]
    assert (found.producer, found.metadata) == ("pytorch 2.9", ("license",))


def test_duplicates_and_what_stripping_saves(path):
    found = inspect_model(path)
    assert found.duplicate_bytes == 1200 + 3 * 24
    assert found.stripped.saved > 1200
    assert found.stripped.bytes == found.total_bytes - found.stripped.saved
    assert inspect_model(path, estimate=False).stripped is None


def test_weights_with_a_default_are_not_inputs(tmp_path):
    made = model([node("Add", ["x", "w"], ["y"])], [value("x"), value("w")], weights=[tensor("w", X)])
    onnx.save(made, tmp_path / "m.onnx")
    assert [port.name for port in inspect_model(tmp_path / "m.onnx").inputs] == ["x"]


def test_external_data_is_counted_as_such(tmp_path):
    made = model([node("MatMul", ["x", "w"], ["y"])], outputs=[value("y", (2, 100))], weights=[tensor("w", BIG)])
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    found = inspect_model(tmp_path / "m.onnx")
    assert dict(found.files)["m.bin"] == 1200
    assert found.to_json()["weights"]["external_bytes"] == 1200
    assert [(weight.name, weight.external) for weight in found.weights] == [("w", True)]


def test_types_beyond_tensors(tmp_path):
    row = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    byte = helper.make_tensor_type_proto(TensorProto.INT8, None)
    ports = [
        helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None),
        helper.make_value_info("m", helper.make_sequence_type_proto(row)),
        helper.make_value_info("o", helper.make_optional_type_proto(byte)),
    ]
    onnx.save(model([node("Identity", ["x"], ["y"])], ports, [value("y", None)]), tmp_path / "m.onnx")
    found = inspect_model(tmp_path / "m.onnx", estimate=False)
    assert [port.type for port in found.inputs] == [
        "sequence of float",
        "sequence of map of int64 to float",
        "optional int8",
    ]


@pytest.mark.models
def test_a_tree_keeps_its_bytes_in_attributes():
    found = inspect_model(models.fetch("atspm_phase"))
    assert found.by("place")["attributes"] > 0.95 * found.total_bytes
    assert found.by("used_by") == {"TreeEnsemble": found.by("place")["attributes"]}


@pytest.mark.models
@pytest.mark.parametrize("name", models.names())
def test_the_bytes_of_real_models_add_up(name):
    found = inspect_model(models.fetch(name))
    notes = sum(step["bytes_saved"] for step in found.stripped.steps if step["name"] == "documentation")
    # What is left is the graph: names, nodes, types, metadata; a few hundred bytes a node.
    assert 0 <= found.total_bytes - found.weight_bytes - notes < 1000 * (sum(found.nodes.values()) + 200)


class TestCommand:
    def test_json_is_one_object(self, path, capsys):
        assert main(["inspect", str(path), "--json", "--largest", "1"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["bytes"] == path.stat().st_size
        assert said["weights"]["largest"] == [
            {
                "name": "again", "dtype": "float", "shape": [3, 100], "bytes": 1200, "place": "initialisers",
                "external": False, "used_by": "",
            }
        ]  # fmt: skip

    def test_tables_are_plain_text_off_a_terminal(self, path, capsys):
        assert main(["inspect", str(path)]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        for part in (
            "m.onnx",
            "pytorch 2.9",
            "license",
            "Weights by place",
            "MatMul",
            "Stripping would save",
            "[N, 3]",
        ):
            assert part in out

    def test_names_with_brackets_are_shown_as_they_are(self, tmp_path, capsys):
        made = model([node("Add", ["x", "[bold]w[/bold]"], ["[/y]"])], outputs=[value("[/y]")],
                     weights=[tensor("[bold]w[/bold]", BIG)])  # fmt: skip
        onnx.save(made, tmp_path / "m.onnx")
        assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
        out = capsys.readouterr().out
        assert "[bold]w[/bold]" in out
        assert "[/y]" in out

    def test_control_codes_in_names_do_not_reach_the_terminal(self, tmp_path, capsys):
        made = model([node("Add", ["x", "w\x1b[2J"], ["y"])], weights=[tensor("w\x1b[2J", BIG)])
        onnx.save(made, tmp_path / "m.onnx")
        assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
        assert "\x1b" not in capsys.readouterr().out

    def test_a_wrong_file_is_one_sentence_and_exit_code_1(self, tmp_path, capsys):
        (tmp_path / "m.onnx").write_text("hello")
        assert main(["inspect", str(tmp_path / "m.onnx")]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert "is text, not an ONNX model" in said.err
        assert "Traceback" not in said.err
