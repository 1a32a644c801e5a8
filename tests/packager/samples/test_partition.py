import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress.errors import SamplesError
from coldpress.samples.load import SampleSet
from coldpress.samples.partition import check_disjoint, check_varied, request_digest, split_samples


def samples(values, labels=None, sequence=(), origin="s.npz"):
    requests = tuple({"x": np.array([v], np.float32)} for v in values)
    return SampleSet(requests, None if labels is None else np.asarray(labels), origin, sequence=tuple(sequence))


def values(part):
    return [float(request["x"][0]) for request in part.requests]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=2, max_size=60),
    st.floats(0.05, 0.95),
    st.booleans(),
)
def test_every_sample_goes_to_one_side_and_what_belongs_together_stays(rows, share, sequences):
    given_ = samples([v for v, _ in rows], [v % 5 for v, _ in rows], [s for _, s in rows] if sequences else ())
    try:
        calibration, evaluation = split_samples(given_, share)
    except SamplesError:
        kinds = (
            {tuple(v for v, s in rows if s == n) for n in {s for _, s in rows}} if sequences else set(values(given_))
        )
        assert len(kinds) == 1
        return
    assert sorted(values(calibration) + values(evaluation)) == sorted(values(given_))
    assert len(calibration.requests) == len(calibration.labels)
    assert not set(calibration.sequence) & set(evaluation.sequence)
    assert calibration.requests
    assert evaluation.requests
    assert [int(v) % 5 for v in values(evaluation)] == evaluation.labels.tolist()
    check_disjoint(calibration, evaluation)


def test_every_label_gives_its_share():
    labels = [0] * 80 + [1] * 20
    calibration, evaluation = split_samples(samples(range(100), labels), 0.25)
    assert np.bincount(calibration.labels).tolist() == [20, 5]
    assert np.bincount(evaluation.labels).tolist() == [60, 15]


def test_the_split_does_not_depend_on_the_order():
    one, _ = split_samples(samples(range(40)), 0.3)
    other, _ = split_samples(samples(reversed(range(40))), 0.3)
    assert values(one) == values(other)[::-1]
    assert len(values(one)) == 12


def test_calibration_takes_no_more_than_it_needs():
    calibration, evaluation = split_samples(samples(range(100)), 0.5, most=8)
    assert (len(calibration.requests), len(evaluation.requests)) == (8, 92)


@pytest.mark.parametrize("alone", [samples([1]), samples([1, 1, 1]), samples([1, 2, 3], sequence=(0, 0, 0))])
def test_what_cannot_be_divided_is_refused(alone):
    with pytest.raises(SamplesError, match="give some more"):
        split_samples(alone)


def test_calibration_equal_to_evaluation_is_refused_in_any_order():
    with pytest.raises(SamplesError, match=r"calibration is equal to evaluation: all 3 samples of b\.npz"):
        check_disjoint(samples([1, 2, 3], origin="a.npz"), samples([3, 2, 1], origin="b.npz"))


def test_samples_in_both_are_refused_and_counted():
    with pytest.raises(SamplesError, match="2 of the 3 samples"):
        check_disjoint(samples([1, 2]), samples([1, 2, 3]))
    check_disjoint(samples([1, 2]), samples([3, 4]))


def test_pieces_may_recur_in_different_sequences_and_whole_sequences_may_not():
    silence = samples([0, 0, 1, 0, 0, 2], sequence=(0, 0, 0, 1, 1, 1))
    check_disjoint(silence.take([0, 1, 2]), silence.take([3, 4, 5]))
    with pytest.raises(SamplesError, match="sequences"):
        check_disjoint(silence, silence.take([3, 4, 5]))


def test_samples_that_are_all_the_same_are_refused():
    with pytest.raises(SamplesError, match="all 3 samples"):
        check_varied(samples([2, 2, 2]))
    check_varied(samples([2, 2, 3]))
    check_varied(samples([2]))


def test_the_digest_tells_types_shapes_names_and_nested_values_apart():
    x = np.arange(2000, dtype=object)
    y = x.copy()
    y[1000] = 7
    some = [
        {"x": np.zeros(4, np.float32)},
        {"x": np.zeros(4, np.int32)},
        {"x": np.zeros((2, 2), np.float32)},
        {"y": np.zeros(4, np.float32)},
        {"x": x},
        {"x": y},
        {"x": [np.zeros(2), np.ones(2)]},
        {"x": [np.ones(2), np.zeros(2)]},
        {"x": None},
    ]
    assert len({request_digest(request) for request in some}) == len(some)
    assert request_digest({"x": np.eye(3)}) == request_digest({"x": np.asfortranarray(np.eye(3))})
