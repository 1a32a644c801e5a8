"""One session, many threads."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from onnx import TensorProto as T
from onnx import helper

from coldpress_runtime.errors import RunError
from coldpress_runtime.ort import Session
from coldpress_runtime.tensor import Tensor
from tests.support.build import build, tensor


@pytest.fixture
def busy():
    """x [n, n] times itself a few times: long enough to overlap."""
    nodes = [helper.make_node("MatMul", [f"h{i}", "h0"], [f"h{i + 1}"]) for i in range(6)]
    model = build(nodes, {"h0": tensor(T.FLOAT, ("n", "n"))}, {"h6": tensor(T.FLOAT, ("n", "n"))})
    return Session(model.SerializeToString())


def test_answers_do_not_mix_between_threads():
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Shape", ["x"], ["shape"])]
    kind = tensor(T.INT64, None)
    session = Session(build(nodes, {"x": kind}, {"y": kind, "shape": tensor(T.INT64)}).SerializeToString())

    def ask(seed):
        for place in range(100):
            shape = (seed % 5 + 1, place % 7)
            x = Tensor.from_flat("INT64", shape, [seed * 1000 + place] * (shape[0] * shape[1]))
            found = session.run({"x": x})
            assert found["y"] == x
            assert found["shape"].flat() == list(shape)
        return True

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(16)))
    finally:
        sys.setswitchinterval(interval)


def test_other_threads_go_on_while_a_model_runs(busy):
    x = Tensor.from_numpy(np.ones((1024, 1024), np.float32))
    ticks = []
    running = threading.Event()
    over = threading.Event()

    def tick():
        running.set()
        while not over.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    running.wait()
    start = time.perf_counter()
    busy.run({"h0": x})
    end = time.perf_counter()
    over.set()
    thread.join()
    assert end - start > 0.02, "the model is too quick to show anything"
    assert sum(start < at < end for at in ticks) >= 3


def test_closing_lets_runs_under_way_finish(busy):
    x = Tensor.from_numpy(np.ones((512, 512), np.float32))
    begun = threading.Barrier(5)
    answers, refused = [], []

    def ask():
        begun.wait()
        try:
            while True:
                answers.append(busy.run({"h0": x})["h6"].shape)
        except RunError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    time.sleep(0.05)
    busy.close()
    for thread in threads:
        thread.join()
    assert set(answers) <= {(512, 512)}
    assert refused == ["This session is closed; open the model again to run it."] * 4
