"""The figures that people read are those that were measured."""

import copy
import json
from pathlib import Path

import pytest

from benchmarks.readme import BLOCKS, filled
from benchmarks.report import markdown, summary, targets

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results.json"


@pytest.fixture(scope="module")
def document():
    return json.loads(RESULTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("block", [block for block, (results, _) in BLOCKS.items() if results.exists()])
def test_the_readme_shows_the_committed_results(block):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    results, tell = BLOCKS[block]
    assert f"<!-- {block} -->" in readme
    assert filled(readme, tell(json.loads(results.read_text(encoding="utf-8"))), block) == readme


def test_the_long_table_is_of_the_committed_results(document):
    assert (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8").endswith(markdown(document))


def test_the_results_hold_every_model_and_arm_and_every_answer_of_coldpress_is_exact(document):
    assert set(document["models"]) == {"digits", "magika", "ocr_rec", "nudenet", "minilm"}
    for model in document["models"].values():
        assert set(model["arms"]) == {"floor", "naive", "expert", "tract", "fastapi", "coldpress"}
        assert model["arms"]["coldpress"]["answers"] == "equal to the binding's, bit for bit"


def test_a_target_is_met_up_to_its_limit_and_missed_beyond(document):
    changed = copy.deepcopy(document)
    ours = changed["models"]["digits"]["arms"]["coldpress"]
    for value, met in ((0.20, True), (0.201, False)):
        ours["of_naive"]["median"] = value
        (target,) = [t for t in targets(changed) if t.where == "digits" and t.limit == 0.2]
        assert target.met is met
        assert (f"**missed**: {value:.3g} (<= 0.2)" in summary(changed)) is not met


def test_an_arm_that_does_not_run_a_model_is_shown_and_not_measured(document):
    changed = copy.deepcopy(document)
    arm = changed["models"]["magika"]["arms"]["tract"]
    changed["models"]["magika"]["arms"]["tract"] = {k: arm[k] for k in ("title", "bytes")} | {"unsupported": "why"}
    assert "does not run this model" in markdown(changed).split("magika (file types)**")[1]
    assert "does not run it" in summary(changed)


def test_a_readme_without_the_markers_stays_as_it_is():
    assert filled("# title\n", "figures\n", "x") == "# title\n"
    assert filled("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", "new\n", "x") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"
