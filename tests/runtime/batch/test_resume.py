"""Every format in a job whose processes run out of time after a few chunks: the same rows as in one go."""

import gzip
import io
import itertools
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from coldpress_runtime.batch.job import Job, run_job
from coldpress_runtime.batch.layout import Model, below, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.pool import Pool
from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.batch.worker import command
from tests.support.tiny import write_bundle

ROWS = 3000
PAIRS = [[row, row / 4] for row in range(ROWS)]
BAD = range(7, ROWS, 50)
OPTIONS = Options(max_rejects=0.5)


def csv():
    lines = (
        'x.0,"x.1"\n',
        *(f'"{a}"\n' if a in BAD else f'{a},"\n{b}"\n' if a % 3 else f"{a},{b}\r\n" for a, b in PAIRS),
    )
    return "".join(lines).encode()


def jsonl():
    return b"".join(json.dumps(pair[:1] if pair[0] in BAD else pair).encode() + b"\n\n" for pair in PAIRS)


def npy():
    file = io.BytesIO()
    np.save(file, np.array(PAIRS, np.float32))
    return file.getvalue()


def parquet():
    file = io.BytesIO()
    columns = [[None if pair[0] in BAD else pair[axis] for pair in PAIRS] for axis in range(2)]
    table = pa.table([pa.array(column, pa.float32()) for column in columns], names=["x.0", "x.1"])
    pyarrow.parquet.write_table(table, file, row_group_size=700)
    return file.getvalue()


INPUTS = {
    "rows.csv": csv,
    "rows.csv.gz": lambda: gzip.compress(csv()),
    "rows.jsonl": jsonl,
    "rows.npy": npy,
    "rows.parquet": parquet,
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    bundle = write_bundle(tmp_path_factory.mktemp("resume") / "bundle", "fp32")
    with Pool([sys.executable, *command(str(bundle), OPTIONS)], 2) as pool:
        yield pool


@pytest.mark.parametrize("name", INPUTS)
def test_every_row_is_there_once_after_many_processes(pool, tmp_path, name):
    store, model = LocalStore(str(tmp_path), part_bytes=10_000), Model("tiny", "1", "0" * 64)
    store.put(name, INPUTS[name]())
    stat = store.stat(name)
    layout = below(store, "out/", name, job_id(stat, model, OPTIONS))
    job = Job(store, stat, name, layout, model, OPTIONS, lambda stream: pool.open(name, stream, OPTIONS))
    for _ in range(ROWS):
        looks = itertools.count()
        outcome = run_job(job, deadline=lambda: 100.0 if next(looks) < 4 else 0.0)  # noqa: B023 - used at once
        if outcome.status != "unfinished":
            break
    assert outcome.status == "done", outcome.reason
    bad = [] if name == "rows.npy" else list(BAD)
    assert outcome.manifest["rows"] == {"read": ROWS, "scored": ROWS - len(bad), "rejected": len(bad)}
    assert outcome.manifest["runs"] > 2
    scores = [json.loads(line) for line in (tmp_path / layout.scores).read_bytes().splitlines()]
    assert [row["row"] for row in scores] == [row for row in range(ROWS) if row not in bad]
    assert [row["y"] for row in scores] == [pair for pair in PAIRS if pair[0] not in bad]
    if bad:
        rejects = [json.loads(line) for line in (tmp_path / layout.rejects).read_bytes().splitlines()]
        assert [row["row"] for row in rejects] == bad
