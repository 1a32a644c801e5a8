import numpy as np
import pytest

from coldpress.errors import SamplesError
from coldpress.reference import Reference
from coldpress.samples.load import SampleSet, SamplesOptions, load_samples
from coldpress.samples.states import answers, check_states, likely_states
from coldpress.signature import Port, Signature
from tests.support.models import fetch


def port(name, *shape, datatype="FP32", numpy="float32", type_="tensor(float)"):
    return Port(name, type_, "tensor", datatype, numpy, shape)


COUNTER = Signature(
    (port("x", "N", 2), port("state", "N", 2)), (port("y", "N", 2), port("stateN", "N", 2), port("other", "N", 2))
)


def count(request):
    """A model that adds what it saw before."""
    total = request["x"] + request["state"]
    return {"y": total, "stateN": total, "other": total}


def requests(*values):
    return tuple({"x": np.full((1, 2), v, np.float32), "state": np.zeros((1, 2), np.float32)} for v in values)


def carried(samples):
    return [float(answer["y"][0, 0]) for answer in answers(count, samples)]


def test_states_go_from_request_to_request_within_a_sequence_and_no_further():
    samples = SampleSet(requests(1, 2, 3, 4), states={"state": "stateN"}, sequence=(0, 0, 1, 1))
    assert carried(samples) == [1, 3, 3, 7]


def test_sequences_may_be_interleaved():
    samples = SampleSet(requests(1, 2, 3, 4), states={"state": "stateN"}, sequence=(0, 1, 0, 1))
    assert carried(samples) == [1, 2, 4, 6]


def test_a_sequence_begins_with_its_own_state():
    first, second = requests(1, 2)
    first["state"] += 10
    assert carried(SampleSet((first, second), states={"state": "stateN"}, sequence=(5, 5))) == [11, 13]


def test_without_sequences_or_states_every_request_stands_alone():
    assert carried(SampleSet(requests(1, 2), states={"state": "stateN"})) == [1, 2]
    assert carried(SampleSet(requests(1, 2), sequence=(0, 0))) == [1, 2]


def test_the_samples_themselves_stay_as_they_are():
    samples = SampleSet(requests(1, 2), states={"state": "stateN"}, sequence=(0, 0))
    list(answers(count, samples))
    assert not samples.requests[1]["state"].any()


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"stat": "stateN"}, ["'stat'", "no input", "x, state"]),
        ({"state": "stateM"}, ["'stateM'", "no output", "y, stateN"]),
    ],
)
def test_states_that_the_model_lacks_are_refused(states, words):
    with pytest.raises(SamplesError) as caught:
        check_states(states, COUNTER)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_state_from_an_output_of_another_type_is_refused():
    odd = Signature(COUNTER.inputs, (port("stateN", "N", 2, type_="tensor(int64)", datatype="INT64"),))
    with pytest.raises(SamplesError, match="element type"):
        check_states({"state": "stateN"}, odd)


@pytest.mark.parametrize("state", [np.zeros(2, np.float32), np.zeros((1, 2)), [1.0]])
def test_an_answer_that_cannot_be_a_state_is_refused(state):
    samples = SampleSet(requests(1, 2), states={"state": "stateN"}, sequence=(0, 0))
    with pytest.raises(SamplesError, match="name the output of the same kind"):
        list(answers(lambda _: {"stateN": state}, samples))
    with pytest.raises(SamplesError, match="answers no 'stateN'"):
        list(answers(lambda _: {"y": state}, samples))


def test_a_missing_state_is_recognised_and_the_line_to_write_is_given(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 2), np.float32))
    with pytest.raises(SamplesError, match=r'states = \{ "state" = "stateN" \}'):
        load_samples(tmp_path / "x.npz", COUNTER)
    (tmp_path / "sound").mkdir()
    (tmp_path / "sound" / "a.wav").write_bytes(b"")
    with pytest.raises(SamplesError, match=r'2 that are neither .* states = \{ "state" = "stateN" \}'):
        load_samples(tmp_path / "sound", COUNTER)
    got = load_samples(tmp_path / "x.npz", COUNTER, SamplesOptions(states={"state": "stateN"}))
    assert [r["state"].shape for r in got.requests] == [(1, 2)] * 3
    assert got.states == {"state": "stateN"}


def test_names_alike_are_taken_for_a_state():
    signature = Signature((port("h0", 1), port("past.0.key", 1), port("x", 1)), (port("hn", 1), port("present.0.key")))
    assert likely_states(signature) == {"h0": "hn", "past.0.key": "present.0.key"}


def test_a_file_says_which_requests_follow_each_other(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((4, 2), np.float32), sequence=np.array([7, 7, 3, 3]))
    got = load_samples(tmp_path / "x.npz", COUNTER, SamplesOptions(states={"state": "stateN"}))
    assert got.sequence == (0, 0, 1, 1)
    assert carried(got) == [1, 2, 1, 2]
    lines = tmp_path / "x.jsonl"
    lines.write_text('{"x": [1, 1], "sequence": "a"}\n{"x": [1, 1], "sequence": "b"}\n{"x": [1, 1], "sequence": "a"}')
    assert load_samples(lines, COUNTER, SamplesOptions(states={"state": "stateN"})).sequence == (0, 1, 0)


@pytest.mark.models
def test_a_voice_detector_hears_more_with_its_state_than_without(tmp_path):
    reference = Reference(fetch("silero"))
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(576 * 20) / 16000).astype(np.float32).reshape(20, 1, 576)
    np.savez(tmp_path / "tone.npz", input=tone, sequence=np.zeros(20, int))
    options = SamplesOptions(states={"state": "stateN"}, constants={"sr": 16000})
    samples = load_samples(tmp_path / "tone.npz", reference.signature, options)
    assert samples.requests[0]["state"].shape == (2, 1, 128)
    assert samples.requests[0]["sr"] == 16000
    states = [a["stateN"] for a in answers(reference.run, samples)]
    by_hand = np.zeros((2, 1, 128), np.float32)
    for request, state in zip(samples.requests, states, strict=True):
        by_hand = reference.run({**request, "state": by_hand})["stateN"]
        assert np.array_equal(by_hand, state)
