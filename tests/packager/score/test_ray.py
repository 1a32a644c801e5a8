"""What is handed out to a cluster's workers, and what is made of their answers; the workers are in this process."""

import json
import zipfile

import pytest

from coldpress.errors import EmulateError
from coldpress.score import ray, ray_cluster, ray_worker
from coldpress.score.plan import make_plan
from coldpress.score.sources import find_inputs
from coldpress_runtime.batch.layout import Model
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.errors import ConflictError, LibraryError, StoreError
from coldpress_runtime.manifest import Manifest
from tests.support.local_aws import LocalAws
from tests.support.tiny import write_bundle

ROWS = 3000
TEXT = "".join(f"[{row},1]\n" if row % 50 else '"bad"\n' for row in range(ROWS))


@pytest.fixture(scope="module")
def function(tmp_path_factory):
    root = write_bundle(tmp_path_factory.mktemp("ray") / "function", "fp32")
    (root / "app.py").touch()
    return root


@pytest.fixture(scope="module")
def bucket():
    """A bucket's URL."""
    with LocalAws() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        store, _ = open_store("s3://ray/")
        store._client.create_bucket(Bucket="ray")
        yield "s3://ray/"
        store._client.close()


def planned(function, *sources, to):
    manifest = Manifest.load(str(function / "coldpress.json"))
    model = Model(manifest.name, manifest.version, manifest.model.sha256)
    return make_plan(find_inputs(sources), str(to), model, Options(), lambda _name: None)


def score(function, plan, range_bytes=4096, change=lambda _number, words: words, answer=None):
    """Do jobs as a cluster would; ``change`` what a worker is told, or ``answer`` in its place."""
    run = ray._Run(plan.jobs, lambda _size: range_bytes, None)
    job = plan.jobs[0]
    worker = ray_worker.Scoring(str(function), plan.base, list(job.model), job.options._asdict())

    def work(tasks):
        for number, asked in tasks:
            words = change(number, asked | {"number": number})
            (text,) = answer(words) if answer else worker({"task": [json.dumps(words)]})["result"]
            yield number, json.loads(text)

    try:
        run.score(ray._look_here, work)
        return run.outcomes()
    finally:
        for store in worker._stores.values():
            if hasattr(store, "_client"):
                store._client.close()
        if worker._process is not None:
            worker._process.close()
            worker._scratch.cleanup()


def check(plan, outcomes):
    """Each row is where it belongs, and nothing is left over."""
    for job, outcome in zip(plan.jobs, outcomes, strict=True):
        assert outcome.status == "done"
        assert outcome.manifest["rows"] == {"read": ROWS, "scored": ROWS * 49 // 50, "rejected": ROWS // 50}
        store, layout = job.layout.store, job.layout
        stat = store.stat(layout.scores)
        rows = [json.loads(line)["row"] for line in store.read(stat.key, 0, stat.size, stat.version).splitlines()]
        assert rows == [row for row in range(ROWS) if row % 50]


def test_files_in_buckets_are_scored_whole_and_in_ranges(function, bucket):
    store, _ = open_store(bucket)
    for key in ("in/a b+c%20é.jsonl", "in/large.jsonl"):
        store.put(key, TEXT.encode())
    plan = planned(function, f"{bucket}in/", to=f"{bucket}out/")
    told = []
    outcomes = score(function, plan, change=lambda number, words: told.append(words["range"]) or words)
    check(plan, outcomes)
    assert len(told) > 10
    assert None not in told
    left = {item.key.rpartition("/")[2] for item in store.list("out/")}
    assert left == {"scores.jsonl", "rejects.jsonl", "manifest.json"}
    store.put("in/more.jsonl", TEXT.encode())
    plan = planned(function, f"{bucket}in/", to=f"{bucket}out/")
    told.clear()
    outcomes = score(function, plan, 1 << 20, change=lambda number, words: told.append(words["range"]) or words)
    assert [outcome.status for outcome in outcomes] == ["already-done", "already-done", "done"]
    check(plan, [outcome._replace(status="done") for outcome in outcomes])
    assert told == [None]  # what was done is not asked for again
    store._client.close()


def test_an_input_that_is_replaced_meanwhile_is_gone(function, tmp_path):
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out.jsonl")
    told = []

    def change(_number, words):
        told.append(words)
        if len(told) == 3:
            (tmp_path / "in.jsonl").write_text("[0,0]\n")
        return words

    (outcome,) = score(function, plan, change=change)
    assert (outcome.status, outcome.manifest) == ("gone", {})
    assert len(told) > 3
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl"}


@pytest.mark.parametrize("range_bytes", [4096, 1 << 20], ids=["ranges", "whole"])
def test_a_folder_that_workers_do_not_share_is_told(function, tmp_path, range_bytes):
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out" / "out.jsonl")
    with pytest.raises(StoreError, match=r"in\.jsonl is not the same on all machines of the cluster; use a bucket"):
        score(function, plan, range_bytes, change=lambda _number, words: words | {"place": f"{tmp_path}/none/"})


def test_results_that_are_on_another_machine_are_told(function, tmp_path):
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out" / "out.jsonl")
    with pytest.raises(StoreError, match=r"out\.jsonl\.manifest\.json is not the same on all machines"):
        score(function, plan, 1 << 20, answer=lambda _words: ['{"outcome": ["done", {}, ""]}'])


def test_a_conflict_over_one_file_leaves_the_others_alone(function, tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(TEXT)
    plan = planned(function, str(tmp_path / "in"), to=tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.jsonl.jsonl").write_text("something else")
    with pytest.raises(ConflictError, match=r"a\.jsonl\.jsonl exists already"):
        score(function, plan)
    assert (tmp_path / "out" / "b.jsonl.jsonl.manifest.json").exists()
    assert (tmp_path / "out" / "a.jsonl.jsonl").read_text() == "something else"


def test_one_array_over_many_lines_fails_as_on_one_machine(function, tmp_path):
    (tmp_path / "in.jsonl").write_text("[\n" + "[1,2],\n" * 5000 + "[1,2]]\n")
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out.jsonl")
    (outcome,) = score(function, plan)
    assert outcome.status == "failed"
    assert "array" in outcome.reason
    assert not (tmp_path / "out.jsonl").exists()
    assert not list(tmp_path.glob(".out*"))


def test_a_function_whose_engine_is_for_another_machine_uses_the_one_that_is_installed(function, tmp_path):
    foreign = tmp_path / "function"
    write_bundle(foreign, "fp32")
    (foreign / "lib" / "libonnxruntime.so").unlink()
    (foreign / "lib" / "libonnxruntime.so").write_bytes(b"\x7fELF of another machine")
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out.jsonl")
    check(plan, score(foreign, plan))


def test_what_a_worker_cannot_open_is_raised_here(function, tmp_path):
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out.jsonl")
    with pytest.raises(LibraryError, match="no engine here"):
        score(function, plan, answer=lambda _words: ['{"error": ["LibraryError", "no engine here"]}'])


def test_the_runtime_and_the_function_are_carried_to_the_machines(function, tmp_path, monkeypatch):
    (tmp_path / "function" / "coldpress_runtime").mkdir(parents=True)
    for path in function.rglob("*"):
        if path.is_file():
            copy = tmp_path / "function" / path.relative_to(function)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(b"" if copy.suffix == ".so" else path.read_bytes())
    (tmp_path / "function" / "coldpress_runtime" / "service.py").touch()
    with ray_cluster._working_folder(tmp_path) as (archive, root):
        names = set(zipfile.ZipFile(archive).namelist())
    assert root == "function"
    assert {"function/coldpress.json", "function/model/model.onnx", "coldpress_runtime/batch/pool.py"} <= names
    assert "function/coldpress_runtime/service.py" not in names
    monkeypatch.setattr(ray_cluster, "_CARRIED_BYTES", 10)
    with ray_cluster._working_folder(tmp_path) as (archive, root):
        assert not [name for name in zipfile.ZipFile(archive).namelist() if name.startswith("function")]
    assert root == str(tmp_path / "function")
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as packed:
        for path in (tmp_path / "function").rglob("*"):
            packed.write(path, path.relative_to(tmp_path / "function"))
    with (
        pytest.raises(EmulateError, match="too large for Ray to carry to the machines; unpack it"),
        ray_cluster._working_folder(tmp_path / "function.zip"),
    ):
        pass


def test_without_ray_there_is_a_sentence(function, tmp_path):
    (tmp_path / "in.jsonl").write_text(TEXT)
    plan = planned(function, str(tmp_path / "in.jsonl"), to=tmp_path / "out.jsonl")
    with pytest.raises(EmulateError, match=r"needs the package ray, .*pip install 'coldpress\[ray\]'"):
        ray.score_on_ray(plan.jobs, plan.base, function)


def test_a_machine_tells_what_it_lacks():
    machine, lacked = ray_worker.lacking()
    assert machine
    assert lacked == []
