"""What is named is found, each object once, and what cannot be scored is told."""

import pytest

from coldpress.errors import ConfigError
from coldpress.score.sources import canonical, find_inputs
from coldpress_runtime.errors import StoreError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with some files, the working one."""
    for name in ("a.csv", "b.csv.gz", "notes.md", "part-0", "deep/c.jsonl", "deep/d.CSV", "[x].csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def below(*sources, **named):
    return sorted(item.below for item in find_inputs(sources, **named).inputs)


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a.csv"], ["a.csv"]),
        (["deep/c.jsonl"], ["c.jsonl"]),
        (["*.csv"], ["[x].csv", "a.csv"]),
        (["**/*.jsonl"], ["deep/c.jsonl"]),
        (["deep"], ["c.jsonl", "d.CSV"]),
        (["./"], ["[x].csv", "a.csv", "b.csv.gz", "deep/c.jsonl", "deep/d.CSV", "part-0"]),
        (["[x].csv"], ["[x].csv"]),
        (["part-0"], ["part-0"]),
        (["a.csv", "a.csv", "./a.csv", "*.csv"], ["[x].csv", "a.csv"]),
    ],
    ids=" ".join,
)
def test_files_globs_and_folders_name_objects_each_once(sources, names):
    assert below(*sources) == names


def test_a_format_that_is_named_makes_every_file_one_of_it():
    assert below("notes.md", input_format="csv") == ["notes.md"]
    assert "notes.md" in below(".", input_format="csv")


def test_what_is_passed_over_is_counted():
    assert find_inputs(["."]).passed == 1


@pytest.mark.parametrize(
    ("sources", "one"),
    [(["a.csv"], True), (["a.csv", "./a.csv"], False), (["a.csv", "deep/c.jsonl"], False), (["deep"], False),
     (["part*"], False)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)  # fmt: skip
def test_one_file_that_is_named_is_told_from_a_folder_that_holds_one(sources, one):
    assert find_inputs(sources).one is one


def test_an_input_is_known_by_its_whole_path(here):
    (item,) = find_inputs(["deep/c.jsonl"]).inputs
    assert item.url == str(here / "deep" / "c.jsonl")
    assert item.stat.size == 2
    assert item.store.read(item.stat.key, 0, 9, item.stat.version) == b"1\n"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("none.csv", "nothing at none.csv"), ("*.parquet", "nothing at"), ("notes.md", r"expected \.jsonl.* --format"),
     ("*.md", "None of the 1 files")],
    ids=["missing", "glob", "unknown", "only unknown"],
)  # fmt: skip
def test_what_names_nothing_is_refused(source, sentence):
    with pytest.raises(ConfigError, match=sentence):
        find_inputs([source])


def test_a_scheme_that_is_not_known_is_refused():
    with pytest.raises(StoreError, match="expected a path, s3://, gs:// or az://"):
        find_inputs(["ftp://host/a.csv"])


def test_a_place_has_one_name(here):
    (here / "link").symlink_to("deep")
    assert canonical("link/c.jsonl") == canonical("./deep/../deep/c.jsonl") == str(here / "deep" / "c.jsonl")
    assert canonical("s3://bucket/a//b") == "s3://bucket/a//b"
