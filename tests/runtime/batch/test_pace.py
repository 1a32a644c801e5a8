"""Chunks fit the model's speed, and the end comes in time."""

from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.pace import Pace
from coldpress_runtime.batch.scoring import Scored


def scored(rows, seconds):
    return Scored(0, rows, Position(), b"", b"", rows, 0, {"parse": seconds / 2, "run": seconds / 2})


def settled(row_s, chunks=12):
    """The sizes of chunks of a model that takes so long for a row."""
    pace, sizes = Pace(lambda: 1e9), []
    for _ in range(chunks):
        rows = pace.sizes.rows
        sizes.append(rows)
        pace.learn(scored(rows, rows * row_s))
    return sizes


def test_the_first_chunk_is_one_row_and_a_fast_model_gets_large_ones():
    assert settled(1e-7)[:3] == [1, 8, 64]
    assert settled(1e-7)[-1] == 1 << 16


def test_a_slow_model_gets_what_it_does_in_under_a_second():
    for row_s in (1e-3, 1e-2, 0.1):
        assert 0.5 <= settled(row_s)[-1] * row_s <= 1.0
    assert settled(5.0)[-1] == 1


def test_there_is_time_left_for_what_is_under_way_and_to_save_it():
    left = 10.0
    pace = Pace(lambda: left)
    assert not pace.is_over()
    pace.learn(scored(1, 2.0))
    assert not pace.is_over()
    pace.write_took(1.0)
    assert pace.is_over()
    left = 12.0
    assert not pace.is_over()
