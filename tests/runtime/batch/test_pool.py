"""Chunks scored by worker processes: the same bytes as in one process, whatever becomes of the workers."""

import io
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.features import Signature
from coldpress_runtime.batch.formats import open_format
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.scoring import Scorer
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.worker import command
from coldpress_runtime.errors import BatchError, ChangedError, LoadError
from coldpress_runtime.service import Service
from tests.support.tiny import write_bundle

HOOKS = """
import os, signal

def preprocess(request):
    print("a word on the standard output")
    value = request.json()
    if value == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if value == "leave":
        os._exit(3)
    if value == "kill once" and not os.path.exists(MARK):
        open(MARK, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": [[0.0 if value == "kill once" else value, 1.0]]}
"""


MEETING = """
import threading

opened = threading.Event()

def preprocess(request):
    if request.json() == 1:
        opened.set()
    return {"x": [[request.json(), 0.0]]}

def postprocess(outputs):
    return {"met": opened.wait(60)}
"""


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A function without hooks: ``y = x``, two numbers a record."""
    return write_bundle(tmp_path_factory.mktemp("pool") / "plain", "fp32")


@pytest.fixture
def deadly(tmp_path):
    """A function that dies of some records."""
    return write_bundle(tmp_path / "deadly", "fp32", f"MARK = {str(tmp_path / 'mark')!r}\n{HOOKS}")


def pool(root, workers=2, options=Options(), **named):  # noqa: B008 - a tuple
    return Pool([sys.executable, *command(str(root), options)], workers, **named)


def lines(records):
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def scored(pool, data, rows, options=Options()):  # noqa: B008 - a tuple
    """What the pool makes of JSON Lines, in chunks of so many rows."""
    scoring = pool.open("records.jsonl", io.BytesIO(data), options)
    return list(scoring.map(scoring.form.chunks(io.BytesIO(data), Position(), Sizes(rows=rows))))


def outputs(parts):
    return [json.loads(line) for part in parts for line in part.output.splitlines()]


def rejects(parts):
    return [json.loads(line) for part in parts for line in part.rejects.splitlines()]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_workers_give_the_same_bytes_in_the_same_order_as_one_process(plain, form):
    data = lines([row, -row] if row % 10 else "no number" for row in range(500))
    options = Options(output_format=form)
    service = Service.open(str(plain))
    alone = Scorer(service, options, open_format("records.jsonl", data, Signature.of(service), options))
    expected = [alone.score(chunk) for chunk in alone._form.chunks(io.BytesIO(data), Position(), Sizes(rows=7))]
    with pool(plain, 3, options) as workers:
        found = scored(workers, data, 7, options)
    assert [replace(part, seconds={}) for part in found] == [replace(part, seconds={}) for part in expected]
    assert all(part.seconds for part in found)


def test_a_hook_opens_the_next_records_while_the_model_is_busy_with_these(tmp_path):
    function = write_bundle(tmp_path / "meeting", "fp32", MEETING)
    with pool(function, 1) as workers:
        assert [row["met"] for row in outputs(scored(workers, lines([0, 1, 2]), 1))] == [True] * 3


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_workers_read_a_file_themselves_and_score_the_same(plain, tmp_path, name):
    records = [[row, -row] for row in range(300)]
    data = lines(records) if name.endswith("jsonl") else b"a,b\r\n" + b"".join(b"%d,%d\r\n" % tuple(r) for r in records)
    data = b"\xef\xbb\xbf" + data.replace(b"-7\r\n", b'"-7"\r\n\r\n  \r\n', 1).replace(b"]\n", b"]\n\n", 9)
    store, key = open_store(str(tmp_path / name))
    version = store.put(key, data)
    with pool(plain) as workers:
        found = []
        for file in (None, (store.path(key), version)):
            scoring = workers.open(name, io.BytesIO(data), Options(), file)
            parts = scoring.map(scoring.form.chunks(io.BytesIO(data), Position(), Sizes(rows=9)))
            found.append([replace(part, seconds={}) for part in parts])
        assert [row["y"] for row in outputs(found[0])] == records
        assert found[0] == found[1]
        (tmp_path / name).write_bytes(data + b"1,2\n")
        for _ in range(3):  # what one worker says of an input that was given up is nothing to the next one
            with pytest.raises(ChangedError):
                list(scoring.map(scoring.form.chunks(io.BytesIO(data), Position(), Sizes(rows=9))))
            assert len(outputs(scored(workers, lines(records), 9))) == 300


def test_one_pool_scores_one_input_after_the_other_also_when_one_was_given_up(plain):
    first, second = (lines([row, base] for row in range(100)) for base in (1, 2))
    with pool(plain) as workers:
        scoring = workers.open("first.jsonl", io.BytesIO(first), Options())
        parts = scoring.map(scoring.form.chunks(io.BytesIO(first), Position(), Sizes(rows=5)))
        next(parts)
        parts.close()
        assert [row["y"] for row in outputs(scored(workers, second, 5))] == [[row, 2.0] for row in range(100)]


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("deaths", [(0,), (19,), (7, 8), (3, 11, 12)], ids=str)
def test_a_record_that_ends_the_process_is_one_reject(deadly, rows, deaths):
    records = ["kill" if row in deaths else float(row) for row in range(20)]
    with pool(deadly) as workers:
        found = scored(workers, lines(records), rows)
    assert [row["row"] for row in outputs(found)] == [row for row in range(20) if row not in deaths]
    assert [(row["row"], row["record"]) for row in rejects(found)] == [(row, '"kill"') for row in deaths]
    assert all("SIGKILL" in row["reason"] for row in rejects(found))
    assert [part.first for part in found] == list(range(0, 20, rows))
    assert sum(part.rejected for part in found) == len(deaths)


def test_a_header_is_written_though_the_first_record_ends_the_process(deadly):
    options = Options(output_format="csv")
    with pool(deadly, options=options) as workers:
        found = scored(workers, lines(["kill", 1.0]), 2, options)
    assert b"".join(part.output for part in found).splitlines() == [b"row,y.0,y.1", b"1,1.0,1.0"]


def test_a_file_of_the_working_folder_is_no_module(plain, tmp_path, monkeypatch):
    (tmp_path / "queue.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    with pool(plain) as workers:
        assert len(outputs(scored(workers, lines([[1, 2]]), 1))) == 1


def test_how_a_process_ended_is_told(deadly):
    with pool(deadly) as workers:
        (reject,) = rejects(scored(workers, lines(["leave"]), 1))
    assert "exit status 3" in reject["reason"]


def test_a_chunk_whose_process_died_by_chance_is_scored_by_another(deadly):
    with pool(deadly) as workers:
        found = scored(workers, lines([1.0, "kill once", 2.0]), 3)
    assert [row["y"] for row in outputs(found)] == [[1.0, 1.0], [0.0, 1.0], [2.0, 1.0]]


def test_a_model_that_many_records_end_is_to_blame(deadly):
    with pool(deadly, deaths=2) as workers, pytest.raises(BatchError, match="mend the model or its hooks"):
        scored(workers, lines(["kill"] * 5), 5)


def test_a_model_that_does_not_open_is_told_in_its_own_words(tmp_path):
    root = write_bundle(tmp_path / "broken", "fp32")
    (root / "model" / "model.onnx").write_bytes(b"no model")
    with pool(root) as workers, pytest.raises(LoadError, match=r"model\.onnx does not open"):
        workers.open("records.jsonl", io.BytesIO(b"1\n"), Options())


def test_a_process_that_ends_before_it_is_ready_is_told():
    with (
        Pool([sys.executable, "-c", "raise SystemExit(4)"], 1) as workers,
        pytest.raises(BatchError, match="exit status 4 before it had opened the model"),
    ):
        workers.open("records.jsonl", io.BytesIO(b"1\n"), Options())


PARENT = """
import io, sys
from coldpress_runtime.batch.chunks import Position, Sizes
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.worker import command

pool = Pool([sys.executable, *command(sys.argv[1], Options())], 2)
scoring = pool.open("records.jsonl", io.BytesIO(b"1\\n"), Options())
print(*[worker.process.pid for worker in pool._workers], flush=True)
list(scoring.map(scoring.form.chunks(io.BytesIO(b"1\\n2\\n"), Position(), Sizes(rows=1))))
"""
SLEEPER = "import time\ndef preprocess(request):\n    time.sleep(600)\n"


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes of others can be waited for on Linux")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_workers_end_with_the_process_that_started_them(tmp_path, number):
    root = write_bundle(tmp_path / "slow", "fp32", SLEEPER)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, root], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        watched = [os.pidfd_open(int(pid)) for pid in parent.stdout.readline().split()]
        parent.send_signal(number)
        parent.wait()
    assert len(watched) == 2
    for process in watched:
        assert select.select([process], [], [], 60)[0], "a worker outlived its parent"
        os.close(process)
