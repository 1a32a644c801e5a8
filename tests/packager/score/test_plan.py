"""Where results go, what they may replace, and what would be scored again and again."""

import json

import pytest

from coldpress.errors import ConfigError
from coldpress.score.plan import make_plan, output_format
from coldpress.score.sources import find_inputs
from coldpress_runtime.batch.layout import Model
from coldpress_runtime.batch.options import Options

MODEL = Model("digits", "1", "d" * 64)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("in/a.csv", "in/deep/b.csv", "other/a.csv", "c.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*sources, to, options=Options(), overwrite=False):  # noqa: B008 - a tuple
    return make_plan(find_inputs(sources), to, MODEL, options, lambda _item: None, overwrite=overwrite)


def places(plan):
    return [plan.result(job) for job in plan.jobs]


@pytest.mark.parametrize(
    ("sources", "to", "names"),
    [
        (["c.csv"], "scores.jsonl", ["scores.jsonl"]),
        (["c.csv"], "new/scores.jsonl", ["new/scores.jsonl"]),
        (["c.csv"], "out/", ["out/c.csv.jsonl"]),
        (["c.csv"], "in/deep", ["in/deep/c.csv.jsonl"]),
        (["in"], "out", ["out/a.csv.jsonl", "out/deep/b.csv.jsonl"]),
        (["in/*.csv", "c.csv"], "out", ["out/a.csv.jsonl", "out/c.csv.jsonl"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_scores_of_one_file_have_its_name_and_those_of_many_a_file_each(sources, to, names):
    assert places(planned(*sources, to=to)) == names


def test_all_that_a_job_writes_lies_beside_its_scores(here):
    (job,) = planned("c.csv", to="out/s.jsonl").jobs
    layout = job.layout
    assert (layout.rejects, layout.manifest) == ("s.jsonl.rejects.jsonl", "s.jsonl.manifest.json")
    assert layout.checkpoint == ".s.jsonl.checkpoint"
    assert layout.store.path(layout.scores) == str(here / "out" / "s.jsonl")


@pytest.mark.parametrize(
    ("to", "form"), [("a.jsonl", "jsonl"), ("a.CSV", "csv"), ("out/", "jsonl"), ("s3://b/p/", "jsonl"), ("x", "jsonl"),
                     ("v1.2/", "jsonl"), ("a.parquet", "parquet"), ("a.npz", "npy")]
)  # fmt: skip
def test_the_name_of_the_scores_says_how_they_are_written(to, form):
    assert output_format(to) == form


def test_a_folder_takes_what_the_bundle_says():
    assert (output_format("out/", "csv"), output_format("a.jsonl", "csv")) == ("csv", "jsonl")


def test_scores_are_written_in_no_other_format():
    with pytest.raises(ConfigError, match=r"ends with \.xls"):
        output_format("a.xls")


def test_a_table_lies_beside_the_lines_that_it_is_made_of(here):
    plan = planned("c.csv", to="out/t.parquet", options=Options(output_format="parquet"))
    assert places(plan) == ["out/t.parquet"]
    assert plan.jobs[0].layout.scores == "t.jsonl"
    several = planned("in", to="out/", options=Options(output_format="npy"))
    assert places(several) == ["out/a.csv.npz", "out/deep/b.csv.npz"]
    (here / "out").mkdir()
    for name in ("t.parquet", "t.jsonl"):
        (here / "out" / name).write_text("mine")
        with pytest.raises(ConfigError, match="add --overwrite"):
            planned("c.csv", to="out/t.parquet", options=Options(output_format="parquet"))
        (here / "out" / name).unlink()


@pytest.mark.parametrize(
    ("sources", "to", "sentence"),
    [
        (["in"], "in", "scored next"),
        (["in/"], "in/out/", "scored next"),
        (["in"], "./in/../in/x.jsonl", "scored next"),
        (["c.csv"], "c.csv", "among what is scored"),
        (["c.csv"], ".", "among what is scored"),
        (["in/*.csv"], "in/", "among what is scored"),
        (["in"], "scores.jsonl", "There are 2 inputs, and scores.jsonl is one file"),
        (["in/a.csv", "other/a.csv"], "out/", "in one place"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_scores_that_would_be_scored_or_lost_are_refused(sources, to, sentence):
    with pytest.raises(ConfigError, match=sentence):
        planned(*sources, to=to)


def test_a_link_to_the_inputs_is_seen_through(here):
    (here / "link").symlink_to("in")
    with pytest.raises(ConfigError, match="scored next"):
        planned("in", to="link/scores/")


def write_results(here, job):
    (here / "s.jsonl").write_text("scores")
    (here / "s.jsonl.rejects.jsonl").write_text("rejects")
    (here / "s.jsonl.manifest.json").write_text(json.dumps({"job": job}))


def test_the_results_of_the_same_job_stay(here):
    (job,) = planned("c.csv", to="s.jsonl").jobs
    write_results(here, job.layout.job)
    planned("c.csv", to="s.jsonl")
    assert (here / "s.jsonl").read_text() == "scores"


@pytest.mark.parametrize("change", ["input", "options", "asked"])
def test_the_results_of_another_version_make_room(here, change):
    (job,) = planned("c.csv", to="s.jsonl").jobs
    write_results(here, job.layout.job)
    options = Options(outputs=("label",)) if change == "options" else Options()
    if change == "input":
        (here / "c.csv").write_text("1\n2\n")
    planned("c.csv", to="s.jsonl", options=options, overwrite=change == "asked")
    assert [path.name for path in here.glob("s.jsonl*")] == []


@pytest.mark.parametrize("manifest", [None, "no JSON", "[]", '{"job": 7}'])
def test_what_somebody_else_wrote_is_replaced_on_demand_alone(here, manifest):
    (here / "s.jsonl").write_text("mine")
    if manifest is not None:
        (here / "s.jsonl.manifest.json").write_text(manifest)
    with pytest.raises(ConfigError, match="add --overwrite"):
        planned("c.csv", to="s.jsonl")
    assert (here / "s.jsonl").read_text() == "mine"
    planned("c.csv", to="s.jsonl", overwrite=True)
    assert not (here / "s.jsonl").exists()


def test_a_job_that_has_written_its_scores_and_not_yet_its_manifest_goes_on(here):
    (here / "s.jsonl").write_text("scores")
    (here / ".s.jsonl.checkpoint").write_text("{}")
    planned("c.csv", to="s.jsonl")
    assert (here / "s.jsonl").read_text() == "scores"
