"""The state of a job between two processes: what is read is what was written, and one process has it at a time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.checkpoint import Checkpoint, State, _parsed
from coldpress_runtime.batch.chunks import Position
from coldpress_runtime.batch.layout import below
from coldpress_runtime.batch.output import Output
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ConflictError

COUNTS = st.integers(0, 1 << 60)


@pytest.fixture
def layout(tmp_path):
    return below(LocalStore(str(tmp_path)), "out/", "in.csv", "job")


def claimed(layout, lease_s=0.0):
    checkpoint = Checkpoint(layout, lease_s)
    return checkpoint, checkpoint.claim(lambda: 1e9)


@given(COUNTS, COUNTS, COUNTS, st.text(), st.booleans(), st.binary(), st.binary(), st.text())
def test_a_state_is_what_it_was_written_as(offset, row, scored, damage, complete, scores, rejects, owner):
    state = State(Output("scores"), Output("rejects"), Position(offset, row), scored, row - scored, damage)
    state.complete = complete
    state.seconds = {"run": 0.25}
    state.scores.add(scores)
    state.rejects.add(rejects)
    head, again = _parsed(state.to_bytes("job", owner, 1.5))
    assert (head["job"], head["owner"], head["lease_s"]) == ("job", owner, 1.5)
    assert (again.scores.pending, again.rejects.pending) == (scores, rejects)
    assert again.to_bytes("job", owner, 1.5) == state.to_bytes("job", owner, 1.5)


@given(st.binary())
def test_garbage_is_no_state(content):
    assert _parsed(content) == ({}, None)


def test_of_two_processes_that_begin_at_once_one_has_the_job(layout):
    first, second = Checkpoint(layout, 0.0), Checkpoint(layout, 0.0)
    seen = []

    def between():  # both have looked, and neither has written
        seen.append(second.claim(lambda: 1e9))

    class Slow(LocalStore):
        def put(self, *arguments, **named):
            between()
            return super().put(*arguments, **named)

    first._layout = layout._replace(store=Slow(layout.store._folder))
    with pytest.raises(ConflictError, match="has been written by somebody else"):
        first.claim(lambda: 1e9)
    assert seen[0].runs == 1


def test_who_has_lost_a_job_can_neither_save_nor_release_it(layout):
    first, state = claimed(layout)
    second, taken = claimed(layout)
    assert taken.runs == 2
    with pytest.raises(ConflictError):
        first.save(state)
    with pytest.raises(ConflictError):
        first.release()
    second.save(taken)


def test_who_takes_over_passes_over_the_part_that_may_be_under_way(layout):
    layout.store.part_bytes = 4
    first, state = claimed(layout)
    state.scores.add(b"12345678")
    state.scores.send(layout.store)
    first.save(state)
    numbers = [claimed(layout)[1].scores._number for _ in range(3)]
    assert numbers == [3, 4, 5]


def test_a_job_that_was_released_is_taken_at_once(layout):
    first, state = claimed(layout, 1e9)
    state.scored = 7
    first.save(state, release=True)
    assert claimed(layout)[1].scored == 7
    second, state = claimed(layout, 1e9)
    state.scored = 8
    second.release()  # what was not saved is not there
    assert claimed(layout)[1].scored == 7


def test_a_lease_is_waited_for(layout):
    claimed(layout, 1e9)
    looks = itertools.count()
    assert Checkpoint(layout, 0.0).claim(lambda: 1.0 if next(looks) < 1 else 0.0) is None
    assert next(looks) == 2


def test_the_checkpoint_of_another_job_is_nobodys(layout):
    claimed(layout)
    _, state = claimed(layout._replace(job="other"))
    assert (state.runs, state.position) == (1, Position())
