"""What is named is found, each object once, and what cannot be scored is told."""

import io
import tarfile

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


@pytest.mark.parametrize(
    ("sources", "url", "names"),
    [
        (["photos"], "photos/", ["1.jpg", "deep/2.PNG", "deep/3.wav"]),
        (["photos/**/*.*"], "photos/", ["1.jpg", "deep/2.PNG", "deep/3.wav"]),
        (["photos/deep/3.wav", "photos/deep/2.PNG"], "photos/deep/", ["3.wav", "2.PNG"]),
    ],
    ids=["folder", "glob", "files"],
)
def test_images_and_sounds_of_a_folder_are_one_input(here, sources, url, names):
    for name in ("1.jpg", "deep/2.PNG", "deep/3.wav"):
        (here / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (here / "photos" / name).write_text(name)
    found = find_inputs(sources)
    (item,) = found.inputs
    assert found.one
    assert (item.url, item.below) == (f"{here}/{url}", url.rstrip("/").rpartition("/")[2])
    archive = item.store.read(item.stat.key, 0, item.stat.size, item.stat.version)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        assert files.getnames() == names
        assert files.extractfile(names[0]).read().decode().endswith(names[0])


def test_tables_beside_images_stay_inputs_of_their_own(here):
    (here / "deep" / "1.jpg").write_text("1")
    (here / "deep" / "2.jpg").write_text("2")
    found = find_inputs(["deep"])
    assert [item.below for item in found.inputs] == ["c.jsonl", "d.CSV", "deep"]
    assert not found.one


def test_one_image_is_one_input(here):
    (here / "1.jpg").write_text("1")
    assert below("1.jpg") == ["1.jpg"]


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
