"""What every store promises, asked of each of them."""

import pytest

from coldpress_runtime.batch.stores.local import LocalStore
from coldpress_runtime.errors import ChangedError, ConflictError

KEYS = ["plain.csv", "a folder/of names.csv", "50%.csv", "a+b.csv", "%41.csv", "Größe/数据 🙂.jsonl", "q?x=1&y#z.csv"]
PART = 5 << 20


pytestmark = pytest.mark.xdist_group("stores")  # which share the servers


@pytest.fixture(params=["local", "s3", "gcs", "blob"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(str(tmp_path / "folder"))
    return request.getfixturevalue(f"{request.param}_store")


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_what_is_put_is_read_listed_and_deleted(store, key):
    assert store.stat(key) is None
    version = store.put(key, b"0123456789")
    found = store.stat(key)
    assert (found.key, found.size, found.version) == (key, 10, version)
    assert store.read(key, 2, 5, version) == b"234"
    assert store.read(key, 8, 99, version) == b"89"
    assert [item[:3] for item in store.list(key[:3])] == [found[:3]]
    store.delete(key)
    store.delete(key)
    assert store.stat(key) is None
    assert list(store.list("")) == []


def test_objects_are_listed_by_prefix_sorted(store):
    for key in ["b/2.csv", "b/10.csv", "a.csv", "b.csv", "bb/1.csv", "b/c/d.csv"]:
        store.put(key, b"x")
    assert [item.key for item in store.list("b/")] == ["b/10.csv", "b/2.csv", "b/c/d.csv"]
    assert [item.key for item in store.list("b")] == ["b.csv", "b/10.csv", "b/2.csv", "b/c/d.csv", "bb/1.csv"]
    assert [item.key for item in store.list("b/c/d")] == ["b/c/d.csv"]
    assert list(store.list("nothing/")) == []


@pytest.mark.parametrize("change", ["replaced", "deleted"])
def test_another_version_is_not_read(store, change):
    version = store.put("x.csv", b"before")
    if change == "replaced":
        store.put("x.csv", b"afters")
    else:
        store.delete("x.csv")
    with pytest.raises(ChangedError, match=r"x\.csv"):
        store.read("x.csv", 0, 6, version)


def test_a_put_replaces_what_it_was_told_to_and_nothing_else(store):
    first = store.put("state", b"1", replaces="")
    with pytest.raises(ConflictError, match="state"):
        store.put("state", b"2", replaces="")
    second = store.put("state", b"2", replaces=first)
    with pytest.raises(ConflictError, match="state"):
        store.put("state", b"3", replaces=first)
    assert store.read("state", 0, 9, second) == b"2"
    store.delete("state")
    with pytest.raises(ConflictError, match="state"):
        store.put("state", b"3", replaces=second)
    assert store.stat("state") is None


def test_the_versions_of_one_name_all_differ(store):
    versions = [store.put("x", b"%03d" % number) for number in range(200)]
    assert len(set(versions)) == 200


def test_an_object_appears_whole_and_once(store):
    token = store.begin("a b/out.jsonl")
    tags = [store.add(token, 1, b"1" * PART), store.add(token, 2, b"2" * PART), store.add(token, 3, b"end")]
    assert store.stat("a b/out.jsonl") is None
    store.finish(token, tags)
    found = store.stat("a b/out.jsonl")
    assert store.read("a b/out.jsonl", 0, found.size, found.version) == b"1" * PART + b"2" * PART + b"end"
    other = store.begin("a b/out.jsonl")
    tag = store.add(other, 1, b"other")
    with pytest.raises(ConflictError, match=r"out\.jsonl"):
        store.finish(other, [tag])
    assert store.stat("a b/out.jsonl") == found
    store.abandon(other)


def test_parts_of_an_outdated_writer_are_left_out(store):
    token = store.begin("out")
    tags = [store.add(token, 1, b"1" * PART)]
    store.add(token, 2, b"a writer that was thought dead" * 300_000)
    tags.append(store.add(token, 3, b"3" * PART))
    store.add(token, 2, b"and that wakes up again" * 300_000)
    tags.append(store.add(token, 4, b"end"))
    store.finish(token, tags)
    found = store.stat("out")
    assert store.read("out", 0, found.size, found.version) == b"1" * PART + b"3" * PART + b"end"
    assert [item.key for item in store.list("")] == ["out"]


def test_an_upload_that_is_no_more_takes_nothing(store):
    token, other = store.begin("out"), store.begin("out")
    tag = store.add(token, 1, b"x")
    store.abandon(other)
    store.abandon(other)
    for gone in (token, other):
        with pytest.raises(ConflictError, match="out"):
            store.add(gone, 1, b"x")
    with pytest.raises(ConflictError, match="out"):
        store.finish(token, [tag])
    assert store.stat("out") is None


def test_a_part_that_was_replaced_is_noticed_or_kept(store):
    """Whoever sends a number again: the object is never made of other bytes than the tags were given for."""
    token = store.begin("out")
    tag = store.add(token, 1, b"mine")
    store.add(token, 1, b"somebody else's")
    try:
        store.finish(token, [tag])
    except ConflictError:
        assert store.stat("out") is None
    else:
        found = store.stat("out")
        assert store.read("out", 0, 99, found.version) == b"mine"
