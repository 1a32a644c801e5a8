import contextlib
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.fallback.breaker import LONGEST_S, Breaker, OpenError


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def breaker(clock, failures=3, window_s=10.0, open_s=5.0):
    return Breaker(failures, window_s, open_s, clock)


def fail(it, times=1, retry_after=None):
    for _ in range(times):
        it.failed(it.enter(), ValueError("why"), retry_after)


def test_it_opens_at_the_stated_number_of_failures_and_not_before(clock):
    it = breaker(clock)
    fail(it, 2)
    assert it.state == "closed"
    fail(it)
    assert it.state == "open"
    with pytest.raises(OpenError) as refused:
        it.enter()
    assert refused.value.seconds == 5.0
    assert str(refused.value.reason) == "why"


def test_failures_count_only_within_the_window(clock):
    it = breaker(clock)
    fail(it, 2)
    clock.now += 10.0
    fail(it, 2)
    assert it.state == "closed"
    clock.now += 9.9
    fail(it)
    assert it.state == "open"


def test_successes_between_failures_do_not_hide_them(clock):
    it = breaker(clock)
    for _ in range(2):
        fail(it)
        it.passed(it.enter())
    fail(it)
    assert it.state == "open"


def test_one_probe_passes_when_its_time_is_over_and_its_success_closes_it(clock):
    it = breaker(clock)
    fail(it, 3)
    clock.now += 4.999
    with pytest.raises(OpenError):
        it.enter()
    clock.now += 0.001
    assert it.state == "half-open"
    probe = it.enter()
    with pytest.raises(OpenError):
        it.enter()
    it.passed(probe)
    assert it.state == "closed"
    fail(it, 2)
    assert it.state == "closed", "failures before it opened are forgotten"


def test_a_failed_probe_opens_it_again_for_the_whole_time(clock):
    it = breaker(clock)
    fail(it, 3)
    clock.now += 5
    fail(it)
    assert it.state == "open"
    clock.now += 4.9
    with pytest.raises(OpenError):
        it.enter()
    clock.now += 0.2
    it.enter()


def test_a_probe_that_was_given_up_leaves_room_for_the_next(clock):
    it = breaker(clock)
    fail(it, 3)
    clock.now += 5
    it.dropped(it.enter())
    it.passed(it.enter())
    assert it.state == "closed"


def test_what_was_let_through_before_it_opened_says_nothing_afterwards(clock):
    it = breaker(clock)
    old, older = it.enter(), it.enter()
    fail(it, 3)
    it.passed(old)
    assert it.state == "open"
    clock.now += 5
    probe = it.enter()
    it.failed(older, None)
    it.passed(old)
    assert it.state == "half-open"
    it.passed(probe)
    assert it.state == "closed"


def test_retry_after_opens_it_at_once_for_as_long_and_is_bounded(clock):
    it = breaker(clock, open_s=1.0)
    fail(it, retry_after=7)
    clock.now += 6.9
    with pytest.raises(OpenError):
        it.enter()
    clock.now += 0.1
    fail(it, retry_after=10 * LONGEST_S)
    clock.now += LONGEST_S
    it.passed(it.enter())
    assert it.state == "closed"


def test_it_closes_when_the_endpoint_was_seen_to_be_ready(clock):
    it = breaker(clock)
    fail(it, 3)
    it.close()
    assert it.state == "closed"
    it.enter()


def test_of_many_threads_one_is_the_probe(clock):
    it = breaker(clock)
    fail(it, 3)
    clock.now += 5
    gate, passed = threading.Barrier(16), []

    def ask():
        gate.wait()
        with contextlib.suppress(OpenError):
            passed.append(it.enter())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 1


@given(st.lists(st.sampled_from(["enter", "pass", "fail", "drop", "hold", "wait"]), max_size=60))
def test_it_never_locks_itself_out(steps):
    clock = Clock()
    it = breaker(clock)
    entries = []
    for step in steps:
        if step == "wait":
            clock.now += 2.5
        elif step == "enter":
            try:
                entries.append(it.enter())
            except OpenError:
                assert it.state != "closed"
        elif entries:
            entry = entries.pop(0)
            if step == "pass":
                it.passed(entry)
            elif step == "drop":
                it.dropped(entry)
            else:
                it.failed(entry, None, 3.0 if step == "hold" else None)
    for entry in entries:
        it.dropped(entry)
    clock.now += LONGEST_S
    it.passed(it.enter())
    assert it.state == "closed"
