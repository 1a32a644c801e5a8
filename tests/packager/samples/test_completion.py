import numpy as np
import pytest

from coldpress.errors import SamplesError
from coldpress.samples.completion import complete_constants, complete_states
from coldpress.signature import Port, Signature


def port(name, *shape, datatype="FP32", numpy="float32"):
    return Port(name, f"tensor({numpy})", "tensor", datatype, numpy, shape)


COUNTER = Signature((port("x", "N", 2), port("state", "N", 2)), ())


def test_zeros_take_their_sizes_from_the_other_inputs():
    signature = Signature(
        (port("x", "batch", "time"), port("layers", 2, None, 8), port("like", "batch", "time", 3), port("one"),
         port("past.0.key", "batch", 4, "past_length", 8)), ()
    )  # fmt: skip
    (got,) = complete_states([{"x": np.zeros((3, 5))}], signature, ["layers", "like", "one", "past.0.key"])
    assert {name: value.shape for name, value in got.items()} == {
        "x": (3, 5), "layers": (2, 3, 8), "like": (3, 5, 3), "one": (), "past.0.key": (3, 4, 0, 8),
    }  # fmt: skip
    assert got["layers"].dtype == np.float32


def test_given_states_are_kept():
    kept = {"x": np.zeros((1, 2)), "state": np.ones((1, 2))}
    assert complete_states([kept], COUNTER, ["state"])[0]["state"].all()


@pytest.mark.parametrize("shape", [("N", "layers", 8), (None, None, 8), (2, None, None)])
def test_zeros_of_unknown_shape_are_not_guessed(shape):
    signature = Signature((port("x", "N", 2), port("h", *shape)), ())
    with pytest.raises(SamplesError, match="how large"):
        complete_states([{"x": np.zeros((1, 2))}], signature, ["h"])


def test_a_state_of_text_begins_empty_and_one_without_rank_is_not_guessed():
    signature = Signature((port("x", "N", 2), port("words", "N", datatype="BYTES", numpy="object")), ())
    (got,) = complete_states([{"x": np.zeros((2, 2))}], signature, ["words"])
    assert got["words"].tolist() == ["", ""]
    unranked = Signature((port("x", "N", 2), Port("h", "tensor(float)", "tensor", "FP32", "float32", None)), ())
    with pytest.raises(SamplesError, match="no stated rank"):
        complete_states([{"x": np.zeros((2, 2))}], unranked, ["h"])


CONSTANTS = Signature(
    (
        port("x", "N", 2),
        port("rate", datatype="INT64", numpy="int64"),
        port("scale", "N", 3),
        port("half", 1, datatype="FP16", numpy="float16"),
        port("text", 1, datatype="BYTES", numpy="object"),
        port("flag", datatype="BOOL", numpy="bool"),
    ),
    (),
)


def test_a_number_fills_the_shape_and_a_list_is_the_value():
    given = {"rate": 16000, "scale": 2.5, "half": 0.5, "text": "a", "flag": True}
    (got,) = complete_constants([{"x": np.zeros((4, 2))}], CONSTANTS, given)
    assert got["rate"].shape == ()
    assert got["rate"] == 16000
    assert got["rate"].dtype == np.int64
    assert np.array_equal(got["scale"], np.full((4, 3), 2.5, np.float32))
    assert got["half"].dtype == np.float16
    assert got["text"].tolist() == ["a"]
    assert got["flag"].dtype == bool
    (got,) = complete_constants([{"x": np.zeros((1, 2))}], CONSTANTS, {"scale": [1, 2, 3]})
    assert got["scale"].tolist() == [[1, 2, 3]]


def test_what_a_sample_holds_itself_comes_first():
    (got,) = complete_constants([{"x": np.zeros((1, 2)), "rate": np.int64(8000)}], CONSTANTS, {"rate": 16000})
    assert got["rate"] == 8000


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"speed": 1}, ["`constants` names 'speed'", "x, rate"]),
        ({"rate": 1.5}, ["`constants`", "'rate' came as float64", "INT64"]),
        ({"scale": [1, 2]}, ["'scale' has shape [1, 2]", "[N, 3]"]),
        ({"flag": "yes"}, ["'flag'", "BOOL"]),
    ],
)
def test_constants_that_the_model_does_not_take_are_refused(constants, words):
    with pytest.raises(SamplesError) as caught:
        complete_constants([{"x": np.zeros((1, 2))}], CONSTANTS, constants)
    assert [word for word in words if word not in str(caught.value)] == []
