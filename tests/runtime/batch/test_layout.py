"""Names: one for a job and what it depends on, and a place for each of its objects."""

import pytest

from coldpress_runtime.batch.layout import Model, below, beside, job_id
from coldpress_runtime.batch.options import Options
from coldpress_runtime.batch.stores import Stat
from coldpress_runtime.batch.stores.local import LocalStore

STAT, MODEL, OPTIONS = Stat("in.csv", 5, "v1"), Model("digits", "1", "abc" * 20 + "abcd"), Options()


def test_the_same_input_model_and_options_are_the_same_job():
    assert job_id(STAT, MODEL, OPTIONS) == job_id(STAT._replace(content_type="text/csv"), MODEL, Options())
    assert job_id(STAT, MODEL, OPTIONS) == "3bfc269594ef-abcabcabcabc-8ce1a378"


@pytest.mark.parametrize(
    "other",
    [
        (STAT._replace(version="v2"), MODEL, OPTIONS),
        (STAT, MODEL._replace(sha256="0" * 64), OPTIONS),
        (STAT, MODEL, OPTIONS._replace(columns=("a",))),
        (STAT, MODEL, OPTIONS._replace(max_rejects=0.2)),
    ],
    ids=["version", "model", "columns", "max_rejects"],
)
def test_whatever_the_result_depends_on_makes_another_job(other):
    assert job_id(*other) != job_id(STAT, MODEL, OPTIONS)


def test_in_a_bucket_a_job_has_a_folder_below_the_inputs_name(tmp_path):
    layout = below(LocalStore(str(tmp_path)), "scores/", "a b/in.csv", "job", "csv")
    folder = "scores/a b/in.csv/job/"
    assert layout[1:] == (
        "job",
        folder + "scores.csv",
        folder + "rejects.jsonl",
        folder + "manifest.json",
        folder + "checkpoint",
    )


@pytest.mark.parametrize("folder", ["", "some/folder/"])
def test_beside_a_file_the_checkpoint_is_hidden(tmp_path, folder):
    layout = beside(LocalStore(str(tmp_path)), f"{folder}out.jsonl", "job")
    assert layout[1:] == (
        "job",
        f"{folder}out.jsonl",
        f"{folder}out.jsonl.rejects.jsonl",
        f"{folder}out.jsonl.manifest.json",
        f"{folder}.out.jsonl.checkpoint",
    )
