"""``coldpress score`` as people call it: files in, scores beside them, and what is said of it."""

import gzip
import json
import os
import pty
import signal
import subprocess
import sys

import boto3
import numpy as np
import pytest

from coldpress_runtime.service import Service
from coldpress_runtime.tensor import Tensor
from tests.support.local_aws import LocalAws
from tests.support.packing import coldpress
from tests.support.tiny import write_bundle

PIXELS = 64


@pytest.fixture(scope="module")
def build(digits_bundle):
    return digits_bundle[0]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(rows):
    return np.random.default_rng(7).uniform(0, 16, (rows, PIXELS)).astype(np.float32).round(2)


def csv(values, bad=()):
    lines = [",".join("word" if row in bad and not place else str(value) for place, value in enumerate(values[row]))
             for row in range(len(values))]  # fmt: skip
    return "\n".join([",".join(f"p{pixel}" for pixel in range(PIXELS)), *lines, ""])


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def score(*arguments):
    return coldpress("score", *arguments)


def done(*arguments):
    run = score(*arguments, "--json")
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_a_table_is_scored_in_its_order_with_every_bad_row_accounted_for(build, here):
    values, bad = pixels(3000), {0, 17, 2999}
    (here / "data.csv").write_text(csv(values, bad))
    run = score("data.csv", "scores.jsonl", "--bundle", build, "--workers", "2")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("scores.jsonl: 2,997 rows")
    assert "3 rejects in scores.jsonl.rejects.jsonl" in run.stdout
    rows = read(here / "scores.jsonl")
    assert [row["row"] for row in rows] == [row for row in range(3000) if row not in bad]
    with_model = Service.open(str(_function(build, here)))
    good = np.delete(values, sorted(bad), axis=0)
    answers = with_model.session.run({with_model.session.inputs[0].name: Tensor.from_numpy(good)})
    for name, answer in answers.items():
        np.testing.assert_allclose([row[name] for row in rows], answer.numpy(), atol=1e-6)
    rejects = read(here / "scores.jsonl.rejects.jsonl")
    assert [row["row"] for row in rejects] == sorted(bad)
    assert all("word" in row["record"] and row["reason"] for row in rejects)
    manifest = json.loads((here / "scores.jsonl.manifest.json").read_text())
    assert manifest["rows"] == {"read": 3000, "scored": 2997, "rejected": 3}
    assert sorted(path.name for path in here.iterdir() if path.name.startswith(".")) == []


def _function(build, into):
    """The unpacked function of a build."""
    subprocess.run([sys.executable, "-m", "zipfile", "-e", build / "function.zip", into / "function"], check=True)
    return into / "function"


def test_a_finished_job_run_again_says_so_and_scores_a_changed_input_anew(build, here):
    (here / "data.csv").write_text(csv(pixels(20)))
    assert score("data.csv", "scores.csv", "--bundle", build).returncode == 0
    first = (here / "scores.csv").read_bytes()
    assert first.startswith(b"row,")
    again = score("data.csv", "scores.csv", "--bundle", build)
    assert again.returncode == 0
    assert "scores.csv is done already: 20 rows, no rejects. Nothing was scored." in again.stdout
    (here / "data.csv").write_text(csv(pixels(21)))
    assert done("data.csv", "scores.csv", "--bundle", build)["rows"]["scored"] == 21
    assert (here / "scores.csv").read_bytes().startswith(first)


def test_scores_may_be_a_table_which_is_made_again_where_it_is_missing(build, here):
    (here / "data.csv").write_text(csv(pixels(20)))
    for _ in range(2):
        run = score("data.csv", "scores.npz", "--bundle", build)
        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith("scores.npz")
        with np.load(here / "scores.npz") as table:
            assert table["row"].tolist() == list(range(20))
            assert table["probabilities"].shape == (20, 10)
        (here / "scores.npz").unlink()


def test_images_without_a_hook_are_refused_with_what_to_do(build, here):
    (here / "photos").mkdir()
    for name in ("1.png", "2.png"):
        (here / "photos" / name).write_bytes(b"\x89PNG")
    run = score("photos", "scores.jsonl", "--bundle", build)
    assert run.returncode == 1
    assert "photos/ is not scored: Files such as images are no tensors: pack the model with a hooks.py" in run.stderr


def test_many_inputs_have_a_file_each(build, here):
    (here / "in" / "deep").mkdir(parents=True)
    (here / "in" / "a.csv").write_text(csv(pixels(3)))
    (here / "in" / "deep" / "b.csv.gz").write_bytes(gzip.compress(csv(pixels(4)).encode()))
    (here / "in" / "notes.md").write_text("no rows here")
    (here / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pixels(5).tolist()))
    run = score("in", "c.jsonl", "out/", "--bundle", build)
    assert run.returncode == 0, run.stderr
    assert "Passed over, of kinds that are not scored: 1 file." in run.stderr
    assert "3 inputs: 12 rows scored, 0 rejected" in run.stdout
    counts = {name: len(read(here / "out" / name)) for name in ("a.csv.jsonl", "deep/b.csv.gz.jsonl", "c.jsonl.jsonl")}
    assert list(counts.values()) == [3, 4, 5]


def test_what_is_left_of_the_rows_can_be_priced_without_writing(build, here):
    (here / "data.csv").write_text(csv(pixels(500)))
    run = score("data.csv", "scores.jsonl", "--bundle", build, "--dry-run")
    assert run.returncode == 0, run.stderr
    assert "about 500 rows" in run.stdout
    assert "AWS Lambda" in run.stdout
    assert "USD" in run.stdout
    assert sorted(path.name for path in here.iterdir()) == ["data.csv"]
    found = json.loads(score("data.csv", "scores.jsonl", "--bundle", build, "--dry-run", "--json").stdout)
    assert found["rows"] == 500
    assert found["cost"] > 0


def test_too_many_rejects_publish_nothing_and_say_where_they_are(build, here):
    (here / "data.csv").write_text(csv(pixels(10), bad={1, 2, 3}))
    run = score("data.csv", "scores.jsonl", "--bundle", build)
    assert run.returncode == 1
    assert "3 of 10 rows were rejected" in run.stderr
    assert "scores.jsonl.rejects.jsonl" in run.stderr
    assert not (here / "scores.jsonl").exists()
    assert done("data.csv", "scores.jsonl", "--bundle", build, "--max-rejects", "0.5")["rows"]["scored"] == 7


def test_an_input_without_rows_is_done(build, here):
    (here / "data.csv").write_text(csv([]))
    assert done("data.csv", "scores.jsonl", "--bundle", build)["rows"] == {"read": 0, "scored": 0, "rejected": 0}
    assert (here / "scores.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data.csv", "--bundle", "BUILD"], "Only data.csv is named"),
        (["data.csv", "scores.jsonl", "--bundle", "missing"], "missing is not a built function"),
        (["none.csv", "scores.jsonl", "--bundle", "BUILD"], "There is nothing at none.csv"),
        (["data.xls", "scores.jsonl", "--bundle", "BUILD"], "data.xls has an extension that is not known"),
        (["data.csv", "scores.xls", "--bundle", "BUILD"], "scores are written as .jsonl, .csv, .parquet, .npz"),
        (["data.csv", "s.npz", "--bundle", "BUILD", "--engine", "ray"], "Ray writes .jsonl or .csv"),
        (["data.csv", "data.csv", "--bundle", "BUILD"], "among what is scored"),
        (["data.csv", "./", "--bundle", "BUILD"], "among what is scored"),
        ([".", "out/", "--bundle", "BUILD"], "the scores would be scored next"),
        (["data.csv", "data.csv", "a.jsonl", "--bundle", "BUILD"], "name a folder"),
        (["data.csv", "taken.jsonl", "--bundle", "BUILD"], "was not written by this command"),
        (["data.csv", "scores.jsonl", "--bundle", "BUILD", "--outputs", "no"], "this model's outputs are"),
        (["data.csv", "scores.jsonl", "--bundle", "BUILD", "--max-rejects", "7"], "expected a share from 0 to 1"),
        (["data.csv", "scores.jsonl", "--bundle", "BUILD", "--workers", "-1"], "expected 1 or more"),
        (["data.csv", "ftp://host/a", "--bundle", "BUILD"], "expected a path, s3://, gs:// or az://"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_said_in_one_sentence(build, here, arguments, sentence):
    (here / "data.csv").write_text(csv(pixels(2)))
    (here / "data.xls").write_bytes(b"\x00\x01")
    (here / "taken.jsonl").write_text("mine")
    run = score(*(build if word == "BUILD" else word for word in arguments))
    assert run.returncode == 1
    assert sentence in run.stderr
    assert "Traceback" not in run.stderr
    assert (here / "taken.jsonl").read_text() == "mine"


def test_what_somebody_else_wrote_is_replaced_on_demand(build, here):
    (here / "data.csv").write_text(csv(pixels(2)))
    (here / "taken.jsonl").write_text("mine")
    done("data.csv", "taken.jsonl", "--bundle", build, "--overwrite")
    assert len(read(here / "taken.jsonl")) == 2


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a local S3, and what leads to it."""
    with LocalAws() as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            if name.startswith("AWS_"):
                patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="rows")
        yield client
        client.close()


def test_a_prefix_of_a_bucket_is_scored_into_another_and_once(build, here, bucket):
    for name, rows in (("a.csv", 3), ("deep/b c+d%.csv", 4)):
        bucket.put_object(Bucket="rows", Key=f"in/{name}", Body=csv(pixels(rows)).encode())
    found = done("s3://rows/in/", "s3://rows/out/", "--bundle", build)
    assert found["rows"] == {"read": 7, "scored": 7, "rejected": 0}
    assert {job["url"] for job in found["jobs"]} == {"s3://rows/in/a.csv", "s3://rows/in/deep/b c+d%.csv"}
    for job in found["jobs"]:
        assert job["scores"].startswith(job["url"].replace("/in/", "/out/") + "/")
        body = bucket.get_object(Bucket="rows", Key=job["scores"].removeprefix("s3://rows/"))["Body"].read()
        assert [json.loads(line)["row"] for line in body.splitlines()] == list(range(job["rows"]["scored"]))
    again = done("s3://rows/in/*.csv", "s3://rows/out/", "--bundle", build)
    assert [job["status"] for job in again["jobs"]] == ["already-done", "already-done"]
    assert score("s3://rows/in/a.csv", "here.jsonl", "--bundle", build).returncode == 0
    assert len(read(here / "here.jsonl")) == 3
    run = score("s3://rows/", "s3://rows/out/", "--bundle", build)
    assert (run.returncode, "scored next" in run.stderr) == (1, True)


@pytest.mark.parametrize(
    ("place", "package", "extra"),
    [("s3://b/k", "boto3", "s3"), ("gs://b/k", "google.cloud", "gcs"), ("az://a/c/k", "azure.storage.blob", "azure")],
    ids=["s3", "gcs", "azure"],
)
def test_a_store_that_is_not_installed_says_what_to_install(build, place, package, extra):
    without = f"import sys; sys.modules[{package!r}] = None; from coldpress.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", without, "score", place, "scores.jsonl", "--bundle", str(build)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert f"pip install 'coldpress[{extra}]'" in run.stderr
    assert run.stderr.count("\n") == 1


HOOKS = """
import os

def preprocess(request):
    value = request.json()
    if value == "wait" and not os.path.exists({go!r}):
        open({pipe!r}).read()
    return {{"x": [[0.0 if value == "wait" else value, 1.0]]}}
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_stopped_job_goes_on_where_it_was(here, number):
    go, pipe = here / "go", here / "pipe"
    os.mkfifo(pipe)
    bundle = write_bundle(here / "bundle", "fp32", HOOKS.format(go=str(go), pipe=str(pipe)))
    (bundle / "app.py").touch()
    (here / "data.jsonl").write_text("".join(f"{row}\n" for row in range(5000)) + '"wait"\n')
    command = [sys.executable, "-m", "coldpress", "score", "data.jsonl", "scores.jsonl", "--bundle", str(bundle)]
    with (
        subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True) as running,
        pipe.open("w"),  # a worker has come to the last row
    ):
        running.send_signal(number)
        _, said = running.communicate()
    if number != signal.SIGKILL:
        assert running.returncode == 1
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
    assert not (here / "scores.jsonl").exists()
    go.touch()
    found = done("data.jsonl", "scores.jsonl", "--bundle", bundle)
    assert found["rows"]["scored"] == 5001
    assert found["jobs"][0]["runs"] == 2
    assert [row["row"] for row in read(here / "scores.jsonl")] == list(range(5001))


def test_a_terminal_shows_how_fast_it_goes(build, here):
    (here / "data.csv").write_text(csv(pixels(300), bad={5}))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "coldpress", "score", "data.csv", "scores.jsonl", "--bundle", str(build)],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    ) as running:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # the terminal's other side is closed
            pass
    os.close(ours)
    assert running.returncode == 0
    assert b"rows/s" in shown
    assert b"1 reject" in shown
