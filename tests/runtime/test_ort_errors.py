"""What the engine says when something is wrong: one sentence, no path of the machine, and nothing on stderr."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from coldpress_runtime.errors import LoadError, RunError
from coldpress_runtime.ort import Session, SessionOptions
from coldpress_runtime.refused import plain
from coldpress_runtime.tensor import Tensor
from tests.support import models
from tests.support.build import build, tensor

TABLE = build(
    [helper.make_node("Gather", ["table", "i"], ["row"]), helper.make_node("Add", ["row", "x"], ["y"])],
    {"i": tensor(T.INT64, ()), "x": tensor(T.FLOAT, ("n", 4))},
    {"y": tensor(T.FLOAT, ("n", 4))},
    [numpy_helper.from_array(np.eye(4, dtype=np.float32), "table")],
).SerializeToString()
I = Tensor.from_flat("INT64", (), [1])  # noqa: E741  (the input's own name)
X = Tensor.from_flat("FP32", (1, 4), [0.0] * 4)


@pytest.fixture(scope="module")
def session():
    return Session(TABLE)


@pytest.fixture(autouse=True)
def silence(capfd):
    """ONNX Runtime itself must not write a word."""
    yield
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def refusal(call, kind=RunError):
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert not any(
        noise in message for noise in ("onnxruntime_src", ".cc", "ONNXRuntimeError", "/root", "/tmp", "/home")
    )
    assert message.endswith((".", "…"))
    return message


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": X}, "Input 'i' is missing; expected 'i', 'x'."),
        ({}, "Input 'i' is missing; expected 'i', 'x'."),
        ({"i": I, "x": None}, "Input 'x' is None, expected FP32[n,4]."),
        ({"i": I, "x": X, "z": X}, "Found input 'z', which this model does not have; expected 'i', 'x'."),
        ({"i": I, "x": [X]}, "Input 'x' is a list, expected FP32[n,4]."),
        ({"i": I, "x": np.zeros((1, 4))}, "Input 'x' is a ndarray, expected FP32[n,4]."),
        ({"i": I, "x": X, "z": [1]}, "Found a list for an input that this model does not have, expected a Tensor."),
        ({"i": X, "x": X}, "Input 'i' is FP32[1,4], expected INT64[]."),
        ({"i": I, "x": Tensor.from_flat("FP64", (1, 4), [0.0] * 4)}, "Input 'x' is FP64[1,4], expected FP32[n,4]."),
        ({"i": I, "x": Tensor.from_flat("FP32", (1, 3), [0.0] * 3)}, "Input 'x' is FP32[1,3], expected FP32[n,4]."),
        ({"i": I, "x": Tensor.from_flat("FP32", (4,), [0.0] * 4)}, "Input 'x' is FP32[4], expected FP32[n,4]."),
    ],
)
def test_wrong_inputs_are_named_with_what_was_found_and_expected(session, inputs, expected):
    assert refusal(lambda: session.run(inputs)) == expected


def test_values_that_the_model_cannot_run_on_are_told_in_the_operators_words(session):
    message = refusal(lambda: session.run({"i": Tensor.from_flat("INT64", (), [9]), "x": X}))
    assert message.startswith("The model cannot run on these inputs: ")
    assert "idx=9 must be within the inclusive range [-4,3]" in message


def test_an_unknown_output_is_refused(session):
    assert refusal(lambda: session.run({"i": I, "x": X}, ["no"])) == (
        "Found output 'no', which this model does not have; expected 'y'."
    )


def test_a_refused_run_leaves_the_session_in_order(session):
    for _ in range(3):
        refusal(lambda: session.run({"i": I, "x": Tensor("FP32", (0,), b"")}))
        assert session.run({"i": I, "x": X})["y"].flat() == [0, 1, 0, 0]


def test_a_sequence_of_the_wrong_things_is_refused():
    kind = helper.make_sequence_type_proto(tensor(T.FLOAT, None))
    model = build([helper.make_node("SequenceLength", ["s"], ["n"])], {"s": kind}, {"n": tensor(T.INT64, ())})
    with Session(model.SerializeToString()) as session:
        assert refusal(lambda: session.run({"s": X})) == "Input 's' is FP32[1,4], expected sequence(FP32[])."
        assert refusal(lambda: session.run({"s": 5})) == "Input 's' is a int, expected sequence(FP32[])."
        refusal(lambda: session.run({"s": [I]}))
        refusal(lambda: session.run({"s": [X, I]}))
        assert session.run({"s": [X]})["n"].tolist() == 1


def test_a_closed_session_says_so():
    session = Session(TABLE)
    session.close()
    session.close()
    assert refusal(lambda: session.run({"i": I, "x": X})) == "This session is closed; open the model again to run it."
    assert refusal(lambda: session.metadata) == "This session is closed; open the model again to run it."


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"not a model", b"\xff" * 64, TABLE[: len(TABLE) // 2], b"\x08\x08"], ids=repr
)
def test_what_is_no_model_does_not_open(content, tmp_path):
    path = tmp_path / "secret-folder" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(content)
    for model in (content, str(path), path):
        message = refusal(lambda: Session(model), LoadError)  # noqa: B023  (called at once)
        assert "does not open" in message
        assert "secret-folder" not in message


def test_a_missing_model_is_told_by_name_only(tmp_path):
    assert refusal(lambda: Session(tmp_path / "gone.onnx"), LoadError) == (
        "gone.onnx is not there, expected a model file; check the path."
    )
    assert "is not there" in refusal(lambda: Session(tmp_path), LoadError)


def test_missing_external_data_is_told_without_its_folder(tmp_path):
    model = onnx.load_from_string(TABLE)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    message = refusal(lambda: Session(tmp_path / "m.onnx"), LoadError)
    assert "weights.bin" in message
    assert str(tmp_path) not in message


def test_an_operator_that_the_library_lacks_is_named():
    model = build([helper.make_node("Nonsense", ["x"], ["y"])], {"x": tensor(1)}, {"y": tensor(1)})
    assert "Nonsense" in refusal(lambda: Session(model.SerializeToString()), LoadError)


def test_a_model_from_the_future_does_not_open():
    model = build([helper.make_node("Neg", ["x"], ["y"])], {"x": tensor(1)}, {"y": tensor(1)}, opset=99)
    assert "99" in refusal(lambda: Session(model.SerializeToString()), LoadError)


def test_only_the_ort_format_can_be_mapped(tmp_path):
    (tmp_path / "m.onnx").write_bytes(TABLE)
    message = refusal(lambda: Session(tmp_path / "m.onnx", SessionOptions(mapped=True)), LoadError)
    assert message == "m.onnx is not in ORT format, which mapping needs; open it with mapped=False."


@pytest.mark.models
@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("part", [0, 8, 0.2, 0.5, 0.99])
def test_a_truncated_ort_file_does_not_open(tmp_path, mapped, part):
    whole = tmp_path / "whole.ort"
    config = {"session.save_model_format": "ORT"}
    Session(str(models.fetch("digits_mlp")), SessionOptions(optimized_path=str(whole), config=config)).close()
    content = whole.read_bytes()
    cut = tmp_path / "cut.ort"
    cut.write_bytes(content[: part if part > 1 else int(len(content) * part)])
    refusal(lambda: Session(cut, SessionOptions(mapped=mapped)), LoadError)


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, len(TABLE) - 1), value=st.integers(0, 255))
def test_a_damaged_model_opens_or_is_refused_and_never_takes_the_process_down(place, value):
    damaged = bytearray(TABLE)
    damaged[place] = value
    with contextlib.suppress(LoadError):
        Session(damaged).close()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "Load model from /srv/a/m.onnx failed:Protobuf parsing failed.",
            "Load model from m.onnx failed:Protobuf parsing failed.",
        ),
        ("/onnxruntime_src/core/a.cc:12 bool f() x was false. Mind\n\n this", "bool f() x was false. Mind this."),
        (
            "Status Message: /src/core/a.h:91 ort::A::A(const ort::Shape&, bool) a == b was false. Shape (2) is wrong.",
            "a == b was false. Shape (2) is wrong.",
        ),
        (
            "/src/a.cc:1 void ort::F<E>::G(std::function<void (int)>) const [with T = X; U = int] Bad overflow",
            "Bad overflow.",
        ),
        (
            "/src/op.cc:87 V* ort::C::Output(int) [ONNXRuntimeError] : 1 : FAIL : a.cc:5 Size x() < 0",
            "x() < 0.",
        ),
        ("matmul_helper.h:59 Compute MatMul dimension mismatch", "MatMul dimension mismatch."),
        ("at /src/a.cc:1 ort::Helper( never closed", "at ort::Helper( never closed."),
        ("delta can not be zero!", "delta can not be zero!"),
        ("Non-zero status. Name:'' Status Message: bad [-3,2]", "Non-zero status. bad [-3,2]."),
        ("a/b node and 3/4 stay", "a/b node and 3/4 stay."),
        ("", "."),
        ("x" * 1000, "x" * 399 + "…"),
    ],
)
def test_noise_is_taken_out_of_messages(message, expected):
    assert plain(message, "/srv/a/m.onnx") == expected
