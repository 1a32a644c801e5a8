"""``coldpress score --engine ray`` on a real Ray: the same bytes as on one machine, whoever dies on the way."""

import gzip
import json
import random
import signal
from pathlib import Path

import pytest

from tests.support.local_ray import LocalRay, python
from tests.support.packing import coldpress
from tests.support.tiny import write_bundle

pytestmark = [
    pytest.mark.skipif(not python().exists(), reason="`make tools` has not made .tools/ray"),
    pytest.mark.xdist_group("ray"),  # one cluster
    pytest.mark.timeout(900),
]

HOOKS = """
import os, signal

def preprocess(request):
    value = request.json()
    if value == "worker" and not os.path.exists(MARK):
        open(MARK, "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
    if value == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"x": [[0.0 if isinstance(value, str) else value, 1.0]]}
"""


@pytest.fixture(scope="module")
def ray():
    with LocalRay() as cluster:
        yield cluster


def function(folder, model="fp32", hooks=None):
    """Lay out a function without a provider."""
    write_bundle(folder, model, hooks)
    (folder / "app.py").touch()
    return folder


def contents(folder):
    """What lies below a folder, but for the accounts."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".manifest.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_files_get_the_scores_that_one_machine_gives_them(ray, digits_bundle, tmp_path):
    build, _ = digits_bundle
    source = tmp_path / "in"
    (source / "below").mkdir(parents=True)
    draw = random.Random(1)
    rows = [[draw.randrange(17) for _ in range(64)] for _ in range(300)]
    lines = "".join(json.dumps(row if place % 20 else "no digit") + "\n" for place, row in enumerate(rows))
    (source / "a.jsonl").write_text(lines)
    (source / "below" / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode() * 3))
    (source / "c.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    (source / "empty.csv").touch()

    here = coldpress("score", source, f"{tmp_path / 'here'}/", "--bundle", build, "--json")
    assert here.returncode == 0, here.stderr
    words = ("score", source, f"{tmp_path / 'there'}/", "--bundle", build, "--json", "--engine", "ray")
    there = ray.coldpress(*words)
    assert there.returncode == 0, there.stderr
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    assert len(contents(tmp_path / "there")) == 6  # two of four have rejects
    told, expected = json.loads(there.stdout), json.loads(here.stdout)
    assert told["rows"] == expected["rows"] == {"read": 1500, "scored": 1440, "rejected": 60}
    assert [job["rows"] for job in told["jobs"]] == [job["rows"] for job in expected["jobs"]]

    again = ray.coldpress(*words)
    assert again.returncode == 0, again.stderr
    assert [job["status"] for job in json.loads(again.stdout)["jobs"]] == ["already-done"] * 4


def test_a_large_file_with_quotes_is_scored_in_ranges(ray, tmp_path):
    bundle = function(tmp_path / "function")
    text = "".join(f'"{row}",2\n' if row % 100 == 5 else f"{row},2\n" for row in range(5000))
    (tmp_path / "in.csv").write_text(f"a,b\n{text}")

    run = ray.score(bundle, tmp_path / "in.csv", tmp_path / "there.csv", 4096)
    assert run.returncode == 0, run.stderr
    ((status, manifest),) = json.loads(run.stdout)
    assert status == "done"
    assert manifest["rows"] == {"read": 5000, "scored": 5000, "rejected": 0}
    here = coldpress("score", tmp_path / "in.csv", tmp_path / "here.csv", "--bundle", bundle)
    assert here.returncode == 0, here.stderr
    assert (tmp_path / "there.csv").read_bytes() == (tmp_path / "here.csv").read_bytes()
    assert not list(tmp_path.glob(".there*"))


def test_no_row_is_lost_or_doubled_whoever_dies(ray, tmp_path):
    """The command is killed, then run again; then a worker of Ray is, and one record kills whoever scores it."""
    bundle = function(tmp_path / "function", hooks=f"MARK = {str(tmp_path / 'mark')!r}\n{HOOKS}")
    values = [*range(2000)]
    values[1500], values[1800] = "worker", "poison"
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    words = (bundle, tmp_path / "in.jsonl", tmp_path / "scores.jsonl", 512)

    assert ray.score(*words, 4).returncode == -signal.SIGKILL
    parts = list(tmp_path.glob(".scores.jsonl.checkpoint-*"))
    assert parts
    assert not (tmp_path / "scores.jsonl").exists()
    run = ray.score(*words)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "mark").exists()
    rows = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    good = [(row, float(value) if row != 1500 else 0.0) for row, value in enumerate(values) if value != "poison"]
    assert [(row["row"], row["y"][0]) for row in rows] == good
    (reject,) = map(json.loads, (tmp_path / "scores.jsonl.rejects.jsonl").read_text().splitlines())
    assert (reject["row"], reject["record"]) == (1800, '"poison"')
    assert "SIGKILL" in reject["reason"]
    ((status, manifest),) = json.loads(run.stdout)
    assert (status, manifest["rows"]) == ("done", {"read": 2000, "scored": 1999, "rejected": 1})
    assert not list(tmp_path.glob(".scores.jsonl*"))


def test_what_no_worker_can_open_is_told_in_a_sentence(ray, tmp_path):
    bundle = function(tmp_path / "function", hooks="import no_such_package\n")
    (tmp_path / "in.jsonl").write_text("[1.0, 2.0]\n")
    run = ray.coldpress("score", tmp_path / "in.jsonl", tmp_path / "out.jsonl", "--bundle", bundle, "--engine", "ray")
    assert run.returncode == 1
    assert "no_such_package" in run.stderr
    assert "Traceback" not in run.stderr
    assert not Path(tmp_path, "out.jsonl").exists()
