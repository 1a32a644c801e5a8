import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldpress.errors import SamplesError
from coldpress.reference import Reference
from coldpress.samples.load import SamplesOptions, load_samples
from coldpress.samples.partition import split_samples
from coldpress.samples.states import answers
from coldpress.samples.wav import open_wav
from coldpress.signature import Port, Signature
from tests.support.models import fetch
from tests.support.sounds import speech, write_wav

RAMP = np.linspace(-0.9, 0.9, 1000)
SILERO = SamplesOptions(rate=16000, window=512, context=64, states={"state": "stateN"}, constants={"sr": 16000})


def takes(*shape, datatype="FP32", numpy="float32"):
    return Signature((Port("x", "tensor(float)", "tensor", datatype, numpy, shape),), ())


@pytest.mark.parametrize(("bits", "step"), [(8, 2**-6), (16, 2**-14), (24, 2**-22), (32, 1e-7), (-32, 0), (-64, 0)])
@pytest.mark.parametrize("header", ["plain", "extensible", "chunks"])
def test_every_kind_of_sample_is_read_at_full_scale_one(tmp_path, bits, step, header):
    recording = open_wav(write_wav(tmp_path / "a.wav", RAMP, 8000, bits, header=header))
    assert (recording.rate, recording.channels, recording.frames) == (8000, 1, 1000)
    got = recording.mono()
    assert got.dtype == np.float32
    assert np.abs(got - RAMP.astype(np.float32)).max() <= step


def test_floats_beyond_any_sound_are_refused(tmp_path):
    write_wav(tmp_path / "a.wav", np.full(4, 1e300), bits=-64)
    with pytest.raises(SamplesError, match="NaN or infinity"):
        open_wav(tmp_path / "a.wav").mono()


def test_channels_are_mixed_into_their_mean(tmp_path):
    path = write_wav(tmp_path / "a.wav", np.stack([RAMP, -RAMP / 2], axis=1), bits=-32)
    assert np.allclose(open_wav(path).mono(), RAMP / 4, atol=1e-7)


def test_a_stream_that_never_learnt_its_length_is_read_to_its_end(tmp_path):
    recording = open_wav(write_wav(tmp_path / "a.wav", RAMP, header="streamed"))
    assert recording.frames == 1000
    assert len(recording.mono()) == 1000


@given(st.integers(0, 80), st.binary(max_size=12))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_refused_or_read_and_nothing_else(tmp_path, place, junk):
    whole = write_wav(tmp_path / "a.wav", RAMP[:20]).read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:place] + junk)
    with contextlib.suppress(SamplesError):
        assert open_wav(tmp_path / "a.wav").mono().ndim == 1


@pytest.mark.parametrize(("shape", "made"), [
    ((100,), (100,)), (("N", 100), (1, 100)), ((1, 1, 100), (1, 1, 100)), ((None, 100, 1), (1, 100, 1)),
])  # fmt: skip
def test_windows_fill_the_models_time_dimension(tmp_path, shape, made):
    write_wav(tmp_path / "a.wav", RAMP[:250], bits=-32)
    got = load_samples(tmp_path, takes(*shape), SamplesOptions(rate=16000))
    assert [r["x"].shape for r in got.requests] == [made] * 3
    heard = np.concatenate([r["x"].ravel() for r in got.requests])
    assert np.array_equal(heard[:250], RAMP[:250].astype(np.float32))
    assert not heard[250:].any()


def test_context_repeats_what_came_before_and_begins_with_silence(tmp_path):
    write_wav(tmp_path / "a.wav", RAMP[:20], bits=-32)
    got = load_samples(tmp_path, takes(1, 14), SamplesOptions(rate=16000, context=4))
    first, second = (r["x"][0] for r in got.requests)
    assert not first[:4].any()
    assert np.array_equal(first[4:], RAMP[:10].astype(np.float32))
    assert np.array_equal(second, RAMP[6:20].astype(np.float32))


def test_hops_may_overlap_and_may_skip(tmp_path):
    write_wav(tmp_path / "a.wav", RAMP[:20], bits=-32)
    for hop, starts in ((5, [0, 5, 10]), (15, [0, 15])):
        got = load_samples(tmp_path, takes(1, 10), SamplesOptions(rate=16000, hop=hop))
        assert [r["x"][0, 0] for r in got.requests] == [RAMP[s].astype(np.float32) for s in starts]


def test_an_open_time_dimension_takes_a_whole_recording(tmp_path):
    write_wav(tmp_path / "a.wav", RAMP[:20])
    write_wav(tmp_path / "b.wav", RAMP[:30])
    got = load_samples(tmp_path, takes("N", "T"), SamplesOptions(rate=16000))
    assert [r["x"].shape for r in got.requests] == [(1, 20), (1, 30)]


def test_every_recording_is_a_sequence_with_its_folders_class(tmp_path):
    for name in ("no/a.wav", "yes/b.wav", "yes/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_wav(tmp_path / name, RAMP[: 20 if name != "yes/c.wav" else 31])
    got = load_samples(tmp_path, takes("N", 10), SamplesOptions(rate=16000))
    assert got.sequence == (0, 0, 1, 1, 2, 2, 2, 2)
    assert got.labels.tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    calibration, evaluation = split_samples(got, 0.3)
    assert not set(calibration.sequence) & set(evaluation.sequence)


@pytest.mark.parametrize(
    ("options", "shape", "words"),
    [
        ({}, (1, 10), ["nothing says", "set rate", "16000"]),
        ({"rate": 8000}, (1, 10), ["a.wav has 16000", "takes 8000", "resample"]),
        ({"rate": 16000, "window": 11}, (1, 10), ["11 + 0", "[1, 10]", "add up to 10"]),
        ({"rate": 16000, "context": 10}, (1, 10), ["0 + 10"]),
        ({"rate": 16000, "hop": 0}, (1, 10), ["hop holds 0"]),
        ({"rate": 16000, "context": -1}, (1, 10), ["context holds -1"]),
        ({"rate": 16000}, (1, 3, 10, 10), ["no sound", "FP32 [1, 3, 10, 10]"]),
        ({"rate": 16000}, (4, 10), ["no sound"]),
    ],
)
def test_options_that_do_not_match_are_refused(tmp_path, options, shape, words):
    write_wav(tmp_path / "a.wav", RAMP)
    with pytest.raises(SamplesError) as caught:
        load_samples(tmp_path, takes(*shape), SamplesOptions(**options))
    assert [word for word in words if word not in str(caught.value)] == []


def test_empty_and_broken_recordings_are_named(tmp_path):
    write_wav(tmp_path / "a.wav", RAMP[:0])
    with pytest.raises(SamplesError, match=r"a\.wav has no sound"):
        load_samples(tmp_path, takes(1, 10), SamplesOptions(rate=16000))
    write_wav(tmp_path / "a.wav", np.full(20, np.nan), bits=-32)
    with pytest.raises(SamplesError, match="NaN"):
        load_samples(tmp_path, takes(1, 10), SamplesOptions(rate=16000))


def test_windows_are_counted_before_they_are_made(tmp_path, monkeypatch):
    monkeypatch.setattr("coldpress.samples.sounds.MAX_BYTES", 1000)
    write_wav(tmp_path / "a.wav", RAMP)
    with pytest.raises(SamplesError, match="100 windows, 4,000 bytes"):
        load_samples(tmp_path, takes(1, 10), SamplesOptions(rate=16000))


@pytest.mark.models
def test_a_voice_detector_hears_a_voice_and_not_the_silence(tmp_path):
    reference = Reference(fetch("silero"))
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    write_wav(tmp_path / "0" / "silence.wav", np.zeros(16000))
    (tmp_path / "1" / "voice.wav").write_bytes(speech().read_bytes())
    samples = load_samples(tmp_path, reference.signature, SILERO)
    assert samples.requests[0]["input"].shape == (1, 576)
    chances = np.array([answer["output"].item() for answer in answers(reference.run, samples)])
    silent, spoken = chances[samples.labels == 0], chances[samples.labels == 1]
    assert silent.max() < 0.05
    assert 0.3 < (spoken > 0.5).mean() < 0.9
    alone = np.array([reference.run(request)["output"].item() for request in samples.requests])[samples.labels == 1]
    assert (alone > 0.5).mean() < (spoken > 0.5).mean()
