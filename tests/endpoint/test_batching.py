"""Requests that wait together run together, and none of them notices: real threads, and runs that wait to be let go."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

import numpy as np
import pytest

from coldpress_endpoint.batching import Batcher, join, split
from coldpress_endpoint.metrics import ModelMetrics
from coldpress_runtime.errors import BusyError, DeadlineError, RunError


class Engine:
    """``y = 2 x``, which refuses negative numbers; each run waits until it may end."""

    def __init__(self):
        self.runs = []
        self.begun = threading.Semaphore(0)
        self.free = threading.Event()

    def run(self, inputs, outputs):
        self.runs.append(inputs["x"].shape)
        self.begun.release()
        assert self.free.wait(60)
        if (inputs["x"] < 0).any():
            raise RunError("negative")
        return {"y": inputs["x"] * 2} if outputs is None else dict.fromkeys(outputs, inputs["x"] * 2)


class Bench:
    """An engine behind a batcher, whose threads are all taken by a first request until ``go``."""

    def __init__(self, engine=None, **settings):
        self.engine = engine or Engine()
        self.metrics = ModelMetrics()
        self.pool = ThreadPoolExecutor(settings.get("slots", 1))
        self.batcher = Batcher(self.engine.run, self.pool, self.metrics, **{"max_batch": 8, **settings})
        self.slots = settings.get("slots", 1)

    async def together(self, *requests):
        """Ask all requests while the threads are taken; returns the answers, and what was raised."""
        first = [asyncio.create_task(self._ask(np.zeros((1, 9)))) for _ in range(self.slots)]
        for _ in range(self.slots):
            await asyncio.to_thread(self.engine.begun.acquire)
        tasks = [asyncio.create_task(self._ask(*request)) for request in requests]
        while self.metrics.waiting + sum(task.done() for task in tasks) < len(tasks):  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        self.engine.free.set()
        await asyncio.gather(*first)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        self.pool.shutdown()
        return found

    async def _ask(self, x, outputs=None, ends=float("inf")):
        return await self.batcher.ask({"x": np.asarray(x, float)}, outputs, ends)


def test_those_that_wait_run_together_and_each_gets_its_rows():
    bench = Bench()
    rows = [np.full((1 + place % 2, 3), place) for place in range(5)]
    found = asyncio.run(bench.together(*((row,) for row in rows)))
    assert bench.engine.runs == [(1, 9), (7, 3)]
    for row, answer in zip(rows, found, strict=True):
        assert (answer["y"] == row * 2).all()
        assert answer["y"].shape == row.shape
    assert bench.metrics.rows.total == 8


def test_no_more_rows_than_the_limit_run_together():
    bench = Bench(max_batch=4)
    asyncio.run(bench.together(*((np.ones((3, 1)),) for _ in range(3)), (np.ones((1, 1)),), (np.ones((5, 1)),)))
    assert bench.engine.runs[1:] == [(4, 1), (3, 1), (3, 1), (5, 1)]


def test_other_shapes_and_other_outputs_run_apart_in_their_turn():
    bench = Bench()
    requests = [
        (np.ones((1, 3)),),
        (np.ones((1, 4)),),
        (np.ones((2, 3)),),
        (np.ones((1, 3)), ["y"]),
        (np.ones((1, 4)),),
    ]
    found = asyncio.run(bench.together(*requests))
    assert bench.engine.runs[1:] == [(3, 3), (2, 4), (1, 3)]
    assert [answer["y"].shape for answer in found] == [(1, 3), (1, 4), (2, 3), (1, 3), (1, 4)]


def test_a_bad_request_fails_alone():
    bench = Bench()
    found = asyncio.run(bench.together((np.ones((1, 2)),), (-np.ones((1, 2)),), (np.ones((2, 2)),)))
    assert bench.engine.runs[1:] == [(4, 2), (1, 2), (1, 2), (2, 2)]
    assert [type(answer) for answer in found] == [dict, RunError, dict]
    assert bench.metrics.splits == 1


def test_outputs_without_a_row_for_each_are_asked_for_singly():
    class Sum(Engine):
        def run(self, inputs, outputs):
            super().run(inputs, outputs)
            return {"y": inputs["x"].sum(axis=0, keepdims=True)}

    bench = Bench(Sum())
    found = asyncio.run(bench.together((np.ones((1, 2)),), (np.ones((2, 2)),)))
    assert [answer["y"].tolist() for answer in found] == [[[1, 1]], [[2, 2]]]


def test_a_limit_of_one_row_never_batches():
    bench = Bench(max_batch=1)
    asyncio.run(bench.together(*((np.ones((1, 2)),) for _ in range(3))))
    assert bench.engine.runs[1:] == [(1, 2)] * 3


def test_a_thread_has_its_next_request_at_hand_where_none_are_gathered():
    """The event loop sleeps while the first ends: only the thread itself can have begun the second."""

    async def scenario():
        tasks = [asyncio.create_task(bench._ask(np.ones((1, place)))) for place in (1, 2, 3)]
        await asyncio.to_thread(bench.engine.begun.acquire)
        bench.engine.free.set()
        assert bench.engine.begun.acquire(timeout=60)
        await asyncio.gather(*tasks)

    bench = Bench(max_batch=1)
    asyncio.run(scenario())
    bench.pool.shutdown()
    assert bench.engine.runs == [(1, 1), (1, 2), (1, 3)]


def test_who_has_gone_from_a_thread_s_hand_takes_no_run():
    async def scenario():
        tasks = [asyncio.create_task(bench._ask(np.ones((1, place)))) for place in (1, 2, 3)]
        await asyncio.to_thread(bench.engine.begun.acquire)
        tasks[1].cancel()
        bench.engine.free.set()
        await asyncio.gather(*tasks, return_exceptions=True)

    bench = Bench(max_batch=1)
    asyncio.run(scenario())
    bench.pool.shutdown()
    assert bench.engine.runs == [(1, 1), (1, 3)]
    assert bench.metrics.rows.total == 2


@pytest.mark.parametrize("most", [1, 8], ids=["alone", "together"])
def test_a_full_queue_refuses_and_those_in_it_are_answered(most):
    bench = Bench(queue=2, max_batch=most)
    found = asyncio.run(bench.together(*((np.ones((1, 2)),) for _ in range(4))))
    assert [type(answer) for answer in found] == [dict, dict, BusyError, BusyError]


def test_threads_that_are_free_share_what_waits():
    async def scenario():
        await asyncio.gather(*[bench._ask(np.ones((1, 2))) for _ in range(6)])

    bench = Bench(slots=2)
    bench.engine.free.set()
    asyncio.run(scenario())
    assert bench.engine.runs == [(3, 2), (3, 2)]


def test_what_is_late_is_dropped_before_it_runs():
    class Slow(Engine):
        def run(self, inputs, outputs):
            answer = super().run(inputs, outputs)
            while perf_counter() < ends:
                pass
            return answer

    bench = Bench(Slow())
    ends = perf_counter() + 0.3
    found = asyncio.run(bench.together((np.ones((1, 2)), None, ends), (np.ones((1, 3)),)))
    assert [type(answer) for answer in found] == [DeadlineError, dict]
    assert bench.engine.runs[1:] == [(1, 3)]


def test_a_caller_who_has_gone_takes_no_run():
    async def scenario():
        taken = asyncio.create_task(bench._ask(np.zeros((1, 9))))
        await asyncio.to_thread(bench.engine.begun.acquire)
        gone = asyncio.create_task(bench._ask(np.ones((1, 2))))
        while not bench.metrics.waiting:  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        gone.cancel()
        bench.engine.free.set()
        await taken
        await bench._ask(np.ones((1, 3)))

    bench = Bench()
    asyncio.run(scenario())
    bench.pool.shutdown()
    assert bench.engine.runs == [(1, 9), (1, 3)]


def test_inputs_of_different_numbers_of_rows_take_none_from_another_request():
    """No row beside three: joined with another's row, that one would be spread over them all."""
    runs = []
    begun, free = threading.Semaphore(0), threading.Event()

    def run(inputs, _outputs):
        runs.append(inputs["a"].shape)
        begun.release()
        assert free.wait(60)
        return {"y": inputs["a"] + inputs["b"]}

    async def scenario():
        async def ask(a, b):
            return await batcher.ask({"a": np.full((a, 2), 7.0), "b": np.zeros((b, 2))}, None, float("inf"))

        first = asyncio.create_task(ask(2, 2))
        await asyncio.to_thread(begun.acquire)
        tasks = [asyncio.create_task(ask(*rows)) for rows in ((0, 3), (1, 1))]
        while metrics.waiting < len(tasks):  # noqa: ASYNC110 - turns of the loop
            await asyncio.sleep(0)
        free.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    metrics = ModelMetrics()
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(run, pool, metrics, max_batch=8)
        lacking, whole = asyncio.run(scenario())
    assert runs == [(2, 2), (0, 2), (1, 2)]
    assert isinstance(lacking, ValueError)
    assert whole["y"].tolist() == [[7, 7]]


@pytest.mark.parametrize("waits", [False, True], ids=["runs", "waits"])
def test_whoever_is_out_of_time_is_told_while_a_run_goes_on(waits):
    async def scenario():
        taken = asyncio.create_task(bench._ask(np.zeros((1, 9)), None, perf_counter() + 60 if waits else soon))
        await asyncio.to_thread(bench.engine.begun.acquire)
        with pytest.raises(DeadlineError):
            await (bench._ask(np.ones((1, 2)), None, soon) if waits else taken)
        assert bench.metrics.waiting == 0
        assert not bench.engine.free.is_set()
        bench.engine.free.set()
        await bench._ask(np.ones((1, 3)))
        if waits:
            await taken

    bench = Bench(queue=1)
    soon = perf_counter() + 0.3
    asyncio.run(scenario())
    bench.pool.shutdown()
    assert bench.engine.runs == [(1, 9), (1, 3)]


def test_a_delay_gathers_what_comes_within_it_and_ends_when_the_batch_is_full():
    async def scenario():
        return await asyncio.gather(*(bench._ask(np.ones((2, 2))) for _ in range(4)))

    bench = Bench(delay_s=3600)
    bench.engine.free.set()
    asyncio.run(scenario())
    bench.pool.shutdown()
    assert bench.engine.runs == [(8, 2)]


def test_a_delay_is_no_longer_than_it_says():
    bench = Bench(delay_s=0.01)
    bench.engine.free.set()
    assert asyncio.run(bench._ask(np.ones((1, 2))))["y"].tolist() == [[2, 2]]
    bench.pool.shutdown()


def test_a_quick_model_is_asked_on_the_event_loop_and_a_large_request_is_not():
    threads = []

    def run(inputs, _outputs):
        threads.append(threading.current_thread() is threading.main_thread())
        return inputs

    async def scenario():
        await batcher.ask({"x": np.ones((1, 2))}, None, float("inf"))
        await batcher.ask({"x": np.ones((1, 100_000))}, None, float("inf"))

    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(run, pool, ModelMetrics(), seconds=1e-5)
        asyncio.run(scenario())
    assert threads == [True, False]


def test_rows_that_are_not_there_are_not_shared_out():
    with pytest.raises(ValueError, match="'y' has 2 rows for 3"):
        split({"y": np.ones((2, 1))}, [1, 2])
    parts = split(join([{"x": np.zeros((1, 2))}, {"x": np.ones((2, 2))}]), [1, 2])
    assert [part["x"].tolist() for part in parts] == [[[0, 0]], [[1, 1], [1, 1]]]
