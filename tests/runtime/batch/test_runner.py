from io import BytesIO
from math import inf

import numpy as np
import pyarrow.parquet as pq
import pytest

from coldpress_runtime.batch.runner import Runner
from coldpress_runtime.batch.stores import open_store
from tests.support.tiny import write_bundle

_BATCH = {"input": "in/", "output": "out/", "columns": [], "outputs": ["label"], "max_rejects": 0.5}


@pytest.fixture
def runner(tmp_path, request):
    write_bundle(tmp_path / "bundle", "mlp", batch=_BATCH | {"format": request.param})
    found = Runner.open(str(tmp_path / "bundle"), workers=1)
    yield found
    found.pool.close()


@pytest.mark.parametrize("runner", ["parquet", "npy"], indirect=True)
def test_a_table_is_written_beside_the_scores(runner, tmp_path):
    store, _ = open_store(f"{tmp_path}/bucket/")
    store.put("in/a.csv", b"\n".join(b",".join([b"%d" % row] * 64) for row in range(5)) + b"\n1,2\n")
    job = runner.job(store, store.stat("in/a.csv"), "bucket/in/a.csv")
    outcome, row = runner.run(job, lambda: inf)
    assert row == 6
    assert (outcome.status, outcome.manifest["rows"]) == ("done", {"read": 6, "scored": 5, "rejected": 1})
    names = [stat.key.rpartition("/")[2] for stat in store.list("out/")]
    table = {"parquet": "scores.parquet", "npy": "scores.npz"}[runner.options.output_format]
    assert sorted(names) == sorted(["manifest.json", "rejects.jsonl", "scores.jsonl", table])
    found = store.stat(job.layout.scores.replace("scores.jsonl", table))
    data = BytesIO(store.read(found.key, 0, found.size, found.version))
    columns = pq.read_table(data).to_pydict() if table.endswith("parquet") else dict(np.load(data))
    assert list(columns["row"]) == [0, 1, 2, 3, 4]
    assert len(columns["label"]) == 5
    store.delete(found.key)  # a process that ended before it was written
    assert runner.run(job, lambda: inf)[0].status == "already-done"
    assert store.stat(found.key).size == found.size
