"""A folder of models that changes: what is served after each look at it."""

import os

import pytest

from coldpress_endpoint.repository import Repository
from coldpress_endpoint.settings import Settings
from coldpress_runtime.errors import LoadError, NotFoundError
from tests.support.endpoint_server import affine, put_model


@pytest.fixture
def repository(tmp_path):
    put_model(tmp_path, "affine", "2", affine())
    repository = Repository(Settings(models=str(tmp_path), providers=("cpu",)))
    repository.look(at_once=True)
    yield repository
    repository.close()


def _served(repository, name="affine"):
    return list(repository.versions(name))


def test_the_highest_version_is_served_by_its_number(tmp_path, repository):
    assert _served(repository) == ["2"]
    put_model(tmp_path, "affine", "10", affine())
    repository.look()
    assert _served(repository) == ["2"]  # the copy may be under way
    repository.look()
    assert _served(repository) == ["10"]
    assert repository.get("affine").version == "10"
    with pytest.raises(NotFoundError, match='no version "2" of model'):
        repository.get("affine", "2")


def test_a_file_that_grows_is_left_alone_until_it_lies_still(tmp_path, repository):
    whole = affine().SerializeToString()
    place = tmp_path / "affine" / "3"
    place.mkdir()
    for part in range(1, 5):
        (place / "model.onnx").write_bytes(whole[: len(whole) * part // 4])
        repository.look()
        assert _served(repository) == ["2"]
    repository.look()
    assert _served(repository) == ["3"]
    assert repository.failed == {}


def test_external_data_that_grows_is_waited_for_too(tmp_path, repository):
    put_model(tmp_path, "affine", "3", affine())
    for size in (1, 2, 3):
        (tmp_path / "affine" / "3" / "weights.bin").write_bytes(b"x" * size)
        repository.look()
        assert _served(repository) == ["2"]
    repository.look()
    assert _served(repository) == ["3"]


def test_a_name_with_a_dot_is_no_version_until_it_is_renamed(tmp_path, repository):
    put_model(tmp_path, "affine", ".3", affine())
    put_model(tmp_path, ".hidden", "1", affine())
    repository.look(at_once=True)
    assert _served(repository) == ["2"]
    assert repository.names() == ["affine"]
    (tmp_path / "affine" / ".3").rename(tmp_path / "affine" / "3")
    repository.look(at_once=True)
    assert _served(repository) == ["3"]


def test_a_broken_version_changes_nothing_but_what_is_said(tmp_path, repository):
    old = repository.get("affine")
    put_model(tmp_path, "affine", "3", affine())
    (tmp_path / "affine" / "3" / "model.onnx").write_bytes(b"no model")
    for _ in range(3):
        repository.look()
    assert repository.get("affine") is old
    assert list(repository.failed["affine"]) == ["3"]
    assert 'coldpress_model_broken{model="affine",version="3"} 1.0' in repository.metrics.text().decode()
    assert 'coldpress_reloads_total{model="affine",outcome="failed"} 1.0' in repository.metrics.text().decode()
    (tmp_path / "affine" / "3" / "model.onnx").write_bytes(affine().SerializeToString())
    repository.look(at_once=True)
    assert _served(repository) == ["3"]
    assert repository.failed == {}
    assert "coldpress_model_broken{" not in repository.metrics.text().decode()


def test_a_broken_version_at_the_start_leaves_the_one_before_it(tmp_path):
    put_model(tmp_path, "affine", "1", affine())
    put_model(tmp_path, "affine", "2", affine())
    (tmp_path / "affine" / "2" / "model.onnx").write_bytes(b"no model")
    repository = Repository(Settings(models=str(tmp_path), providers=("cpu",)))
    repository.look(at_once=True)
    assert _served(repository) == ["1"]
    assert list(repository.failed["affine"]) == ["2"]


def test_a_version_that_is_written_anew_is_opened_anew(tmp_path, repository):
    old = repository.get("affine")
    (tmp_path / "affine" / "2" / "model.onnx").write_bytes(affine(1.5).SerializeToString() + b"")
    os.utime(tmp_path / "affine" / "2" / "model.onnx", (1, 1))
    repository.look()
    assert repository.get("affine") is old
    repository.look()
    new = repository.get("affine")
    assert new is not old
    assert not old.ready or new.ready
    repository.look()
    assert repository.get("affine") is new


def test_what_is_gone_in_two_looks_is_gone(tmp_path, repository):
    put_model(tmp_path, "other", "1", affine())
    repository.look(at_once=True)
    assert repository.names() == ["affine", "other"]
    with pytest.raises(NotFoundError, match="COLDPRESS_MODEL"):
        _ = repository.default
    (tmp_path / "other").rename(tmp_path / ".other")
    repository.look()
    assert repository.names() == ["affine", "other"]
    repository.look()
    assert repository.names() == ["affine"]
    assert repository.default == "affine"


def test_a_version_before_the_one_that_is_gone_takes_its_place(tmp_path, repository):
    put_model(tmp_path, "affine", "1", affine())
    (tmp_path / "affine" / "2").rename(tmp_path / "affine" / ".2")
    repository.look()
    assert _served(repository) == ["2"]  # until another has been opened
    repository.look()
    assert _served(repository) == ["1"]


def test_as_many_versions_as_the_settings_say(tmp_path):
    for version in ("1", "2", "3", "nightly"):
        put_model(tmp_path, "affine", version, affine())
    repository = Repository(Settings(models=str(tmp_path), providers=("cpu",), versions=2))
    repository.look(at_once=True)
    assert _served(repository) == ["3", "2"]
    assert repository.get("affine", "2").version == "2"


def test_a_folder_that_is_not_there_has_no_models(tmp_path):
    repository = Repository(Settings(models=str(tmp_path / "nowhere")))
    with pytest.raises(LoadError, match="nowhere, cannot be read"):
        repository.look(at_once=True)
    assert repository.names() == []
    with pytest.raises(NotFoundError, match="serves none"):
        repository.get("affine")


def test_a_folder_that_cannot_be_read_takes_no_model_away(tmp_path, repository):
    tmp_path.rename(tmp_path.with_name("elsewhere"))
    for _ in range(3):
        with pytest.raises(LoadError, match="cannot be read"):
            repository.look()
    assert _served(repository) == ["2"]
    tmp_path.with_name("elsewhere").rename(tmp_path)


def test_names_that_are_no_text_are_passed_over(tmp_path, repository):
    put_model(tmp_path, os.fsdecode(b"caf\xe9"), "1", affine())
    put_model(tmp_path, "two\nlines", "1", affine())
    put_model(tmp_path, "café", "1", affine())
    repository.look(at_once=True)
    assert repository.names() == ["affine", "café"]
    assert b"caf" in repository.metrics.text()
