"""Scoring what is uploaded, with a store in memory: what is scored, what is not, and what is left behind."""

import gzip
import json

import pytest

from coldpress_runtime.errors import ColdpressError
from coldpress_runtime.uploads import Upload, answer_upload, input_prefix, output_prefix
from tests.support.tiny import open_service

_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}
_LIMITS = {"request_bytes": 100, "response_bytes": 10_000}


class Store(dict):
    """A bucket, and the versions of its objects."""

    def upload(self, key, body=_BODY, content_type="application/json", encoding=""):
        self[key] = body
        return Upload("bucket", key, content_type, len(body), "1", encoding)

    def score(self, service, upload, **options):
        def read():
            if upload.key not in self:
                raise FileNotFoundError
            return self[upload.key]

        return answer_upload(service, upload, read, self.__setitem__, **options)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    return open_service(tmp_path_factory.mktemp("bundle") / "b", "fp32", limits=_LIMITS)


@pytest.fixture
def store():
    return Store()


def hooked(tmp_path, hooks):
    return open_service(tmp_path / "b", "fp32", hooks, limits=_LIMITS)


def test_the_answer_to_predict_lies_beside_the_upload(service, store):
    assert store.score(service, store.upload("uploads/a/b.json")) == "scores/a/b.json.json"
    assert json.loads(store["scores/a/b.json.json"]) == _ANSWER


@pytest.mark.parametrize("content_type", ["", "application/octet-stream", "binary/octet-stream", "text/plain"])
def test_what_nobody_named_a_type_for_is_read_as_json(service, store, content_type):
    assert store.score(service, store.upload("uploads/a", content_type=content_type)) == "scores/a.json"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "said"),
    [
        (b"{", "application/json", 400, "not JSON"),
        (b"\xff\xd8\xff", "application/octet-stream", 400, "UTF-8"),
        (_BODY, "image/png", 415, "Content-Type is"),
        (b'{"inputs": {"y": 1}}', "application/json", 400, "x"),
        (b" " * 101, "application/json", 413, "The object has 101 bytes and this function takes at most 100"),
    ],
)
def test_what_its_sender_must_mend_is_said_beside_it_and_not_tried_again(
    service, store, body, content_type, status, said
):
    seen = []
    key = store.score(
        service,
        store.upload("uploads/a", body, content_type),
        record=lambda request, response: seen.append((request.method, request.path, response.status)),
    )
    assert key == "scores/a.error.json"
    assert said in json.loads(store[key])["error"]
    assert seen == [("POST", "/predict", status)]
    assert "scores/a.json" not in store


def test_an_object_that_is_kept_compressed_is_inflated(service, store):
    assert store.score(service, store.upload("uploads/a", gzip.compress(_BODY), encoding="gzip")) == "scores/a.json"
    assert json.loads(store["scores/a.json"]) == _ANSWER


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [(gzip.compress(b" " * 101), "gzip", "over 100 bytes once decompressed"), (_BODY, "br", "Content-Encoding is")],
    ids=["bomb", "unknown"],
)
def test_what_cannot_be_inflated_is_said_beside_it(service, store, body, encoding, said):
    key = store.score(service, store.upload("uploads/a", body, encoding=encoding))
    assert key == "scores/a.error.json"
    assert said in json.loads(store[key])["error"]


@pytest.mark.parametrize(("letters", "scored"), [(1005, True), (1006, False)])
def test_a_name_that_leaves_no_room_for_its_answers_is_left_alone(service, store, letters, scored, capsys):
    """A store would refuse the answer every time that the event comes again."""
    key = "uploads/" + "é" * (letters // 2) + "a" * (letters % 2)
    assert bool(store.score(service, store.upload(key))) == scored
    assert ("its answer's name would be longer" in capsys.readouterr().err) != scored


def test_an_object_over_the_limit_is_not_read(service, store):
    upload = Upload("bucket", "uploads/big", "", 1 << 40, "1")
    assert store.score(service, upload) == "scores/big.error.json"


@pytest.mark.parametrize("key", ["a.json", "upload", "other/uploads/a", "scores/a.json", "scores/uploads/a"])
def test_what_lies_elsewhere_is_left_alone(service, store, key, capsys):
    assert store.score(service, store.upload(key)) is None
    assert list(store) == [key]
    assert "is not scored" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["uploads/", "uploads/folder/", "uploads/empty"])
def test_folders_and_empty_objects_are_left_alone(service, store, key):
    assert store.score(service, store.upload(key, b"")) is None
    assert list(store) == [key]


def test_an_object_that_is_gone_is_left_alone(service, store):
    upload = store.upload("uploads/a")
    del store["uploads/a"]
    assert store.score(service, upload) is None
    assert not store


@pytest.mark.parametrize(
    ("given", "found"), [("uploads/", ["uploads/x", "scores/x.json"]), ("", ["in", "out/in.json"])]
)
def test_answers_are_never_scored_whatever_the_prefixes(service, store, monkeypatch, given, found):
    monkeypatch.setenv("COLDPRESS_INPUT_PREFIX", given)
    if not given:
        monkeypatch.setenv("COLDPRESS_OUTPUT_PREFIX", "out/")
    keys = [found[0]]
    store.upload(found[0])
    while keys:  # each object that is written makes an event
        written = store.score(service, Upload("bucket", keys.pop(), "application/json", 10, "1"))
        keys += [written] if written else []
    assert list(store) == found


def test_answers_below_the_uploads_are_not_scored_either(service, store, monkeypatch):
    monkeypatch.setenv("COLDPRESS_OUTPUT_PREFIX", "uploads/scores/")
    assert store.score(service, store.upload("uploads/a")) == "uploads/scores/a.json"
    assert store.score(service, store.upload("uploads/scores/a.json")) is None


def test_an_empty_output_prefix_is_the_default(monkeypatch):
    monkeypatch.setenv("COLDPRESS_OUTPUT_PREFIX", "")
    monkeypatch.setenv("COLDPRESS_INPUT_PREFIX", "")
    assert (input_prefix(), output_prefix()) == ("", "scores/")


def test_the_same_event_twice_writes_the_same_bytes(service, store):
    upload = store.upload("uploads/a")
    keys, trees = [], []
    for _ in range(2):
        keys.append(store.score(service, upload))
        trees.append(dict(store))
    assert keys == ["scores/a.json"] * 2
    assert trees[0] == trees[1]


def test_a_failure_is_raised_so_that_the_event_comes_again(tmp_path, store):
    service = hooked(tmp_path, "def preprocess(request):\n    raise OSError('disk')\n")
    with pytest.raises(ColdpressError, match=r"preprocess in hooks.py failed with OSError"):
        store.score(service, store.upload("uploads/a"))
    assert list(store) == ["uploads/a"]


def test_a_function_that_is_busy_gets_the_event_again(tmp_path, store):
    busy = "from coldpress_runtime.errors import BusyError\ndef preprocess(request):\n    raise BusyError('later')\n"
    with pytest.raises(ColdpressError, match="later"):
        store.score(hooked(tmp_path, busy), store.upload("uploads/a"))


def test_a_failure_that_a_hook_answers_itself_is_raised_too(tmp_path, store):
    answers = (
        "from coldpress_runtime.http import Response\n"
        "def postprocess(outputs):\n    return Response(503, {'Content-Type': 'application/json'}, b'{}')\n"
    )
    with pytest.raises(ColdpressError, match="503"):
        store.score(hooked(tmp_path, answers), store.upload("uploads/a"))


def test_hooks_get_the_objects_bytes_and_its_type(tmp_path, store):
    hooks = (
        "def preprocess(request):\n"
        "    global seen\n"
        "    seen = [request.headers['content-type'], len(request.body)]\n"
        "    return {'x': [[1, 2]]}\n"
        "def postprocess(outputs):\n    return seen\n"
    )
    key = store.score(hooked(tmp_path, hooks), store.upload("uploads/cat.jpg", b"\xff\xd8", "image/jpeg"))
    assert json.loads(store[key]) == ["image/jpeg", 2]


def test_an_answer_that_is_no_json_is_refused_in_words(tmp_path, store):
    picture = (
        "from coldpress_runtime.http import Response\n"
        "def postprocess(outputs):\n    return Response(200, {'Content-Type': 'image/png'}, b'png')\n"
    )
    key = store.score(hooked(tmp_path, picture), store.upload("uploads/a"))
    assert key == "scores/a.error.json"
    assert "image/png" in json.loads(store[key])["error"]


def test_a_key_in_any_script_is_kept(service, store):
    assert store.score(service, store.upload("uploads/ключ 1/é\n.json")) == "scores/ключ 1/é\n.json.json"
