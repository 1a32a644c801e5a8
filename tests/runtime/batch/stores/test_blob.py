"""A container of Azure Blob Storage: what is special about it."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.stores.blob import BlobStore
from coldpress_runtime.errors import ConflictError, StoreError

pytestmark = pytest.mark.xdist_group("stores")  # which share the servers


def test_what_stands_for_an_upload_is_gone_in_the_end(blob_store):
    token, stale = blob_store.begin("out/scores.csv"), blob_store.begin("out/scores.csv")
    blob_store.add(stale, 1, b"stale")
    tags = [blob_store.add(token, number, b"%d\n" % number) for number in range(1, 60)]
    assert len([*blob_store.list("out/scores.csv.parts/")]) == 2
    blob_store.finish(token, tags)
    (found,) = blob_store.list("")
    assert (found.key, found.content_type) == ("out/scores.csv", "text/csv")
    assert blob_store.read(found.key, 0, found.size, found.version) == b"".join(b"%d\n" % n for n in range(1, 60))


def test_who_finishes_what_another_process_has_finished_is_told_and_changes_nothing(blob_store):
    token = blob_store.begin("out")
    tags = [blob_store.add(token, 1, b"x")]
    blob_store.finish(token, tags)
    found = blob_store.stat("out")
    with pytest.raises(ConflictError, match=r"The upload of az://devstoreaccount1/.*/out is no more"):
        blob_store.finish(token, tags)
    assert [*blob_store.list("")] == [found]


def test_what_a_process_that_died_before_it_cleared_away_has_left_is_cleared_away(blob_store):
    token = blob_store.begin("out")
    tags = [blob_store.add(token, 1, b"x")]
    blob_store._make(token, tags)
    with pytest.raises(ConflictError):
        blob_store.finish(token, tags)
    assert [found.key for found in blob_store.list("")] == ["out"]


def test_a_block_that_the_store_has_forgotten_is_missed(blob_store):
    token = blob_store.begin("out")
    tag = blob_store.add(token, 1, b"x")
    with pytest.raises(ConflictError, match=r"Of the upload of az://.*/out a part is missing"):
        blob_store.finish(token, [tag, tag.replace("-00001-", "-00002-")])
    assert blob_store.stat("out") is None


def test_a_blob_kept_in_gzip_is_read_as_it_is_kept(blob_store, azurite):
    kept = gzip.compress(b"1,2\n" * 100)
    headers = {"x_ms_blob_type": "BlockBlob", "x_ms_blob_content_encoding": "gzip"}
    azurite.ask("PUT", f"/{blob_store._container.container_name}/in.csv", kept, **headers)
    found = blob_store.stat("in.csv")
    assert found.size == len(kept)
    head, tail = (blob_store.read("in.csv", *span, found.version) for span in ((0, 10), (10, found.size)))
    assert head + tail == kept


def test_markers_of_folders_are_not_listed(blob_store, azurite):
    for key in ("in/a/b.csv", "in/empty", "in/b/"):
        blob_store.put(key, b"x" if key.endswith("csv") else b"")
    headers = {"x_ms_blob_type": "BlockBlob", "x_ms_meta_hdi_isfolder": "true"}
    azurite.ask("PUT", f"/{blob_store._container.container_name}/in/a", **headers)
    assert [found.key for found in blob_store.list("in/")] == ["in/a/b.csv", "in/empty"]


def test_a_url_is_an_account_a_container_and_a_key_as_it_is_written(blob_store):
    container = blob_store._container.container_name
    blob_store.put("in/a b%20+.csv", b"x")
    store, key = open_store(f"az://devstoreaccount1/{container}/in/a b%20+.csv")
    assert key == "in/a b%20+.csv"
    assert store._container.container_name == container
    assert open_store(f"az://devstoreaccount1/{container}")[1] == ""


@pytest.mark.parametrize("place", ["", "account", "account/"])
def test_a_url_without_a_container_is_refused(place):
    with pytest.raises(StoreError, match=rf"^az://{place} names no container; expected az://account/container/key\.$"):
        open_store(f"az://{place}")


def test_a_connection_string_opens_the_account_that_it_names_and_no_other(blob_store):
    store, _ = open_store("az://other/data/x")
    assert store._container.url == "https://other.blob.core.windows.net/data"


def test_a_container_that_is_not_there_is_said_in_a_sentence(blob_store, azurite):
    for act in (lambda store: store.put("x", b"1"), lambda store: store.stat("x"), lambda store: [*store.list("")]):
        with pytest.raises(StoreError, match=r"^There is no container nowhere for az://.*; look at its name\.$"):
            act(BlobStore(azurite.url, "nowhere"))


def test_a_write_whose_answer_was_lost_is_known_again(blob_store):
    """The client tries again, and its own blob is in the way."""
    first = blob_store.put("state", b"mine", replaces="")
    assert blob_store.put("state", b"mine", replaces="") == first
    assert blob_store.put("state", b"mine", replaces="0x1") == first


class _Refusing(BaseHTTPRequestHandler):
    """Answers with the statuses and codes that the server was given, one after the other, then with a blob."""

    def do_GET(self):
        status, code = self.server.answers.pop(0) if self.server.answers else (200, "")
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(status)
        self.send_header("ETag", '"0x17"')
        self.send_header("Content-Length", "0")
        if code:
            self.send_header("x-ms-error-code", code)
        self.end_headers()

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing(monkeypatch):
    """A store whose server answers as it is told."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        server.answers = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        service = f"http://127.0.0.1:{server.server_port}/account"
        monkeypatch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING", f"AccountName=account;AccountKey=a2V5;BlobEndpoint={service};"
        )
        yield BlobStore(service, "data"), server.answers
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("answer", [(503, "ServerBusy"), (500, "OperationTimedOut")])
def test_a_busy_store_is_asked_again(refusing, answer):
    store, answers = refusing
    answers.append(answer)
    assert store.stat("x").version == "0x17"


@pytest.mark.parametrize(
    ("act", "action"),
    [
        (lambda store: store.stat("x"), "read"),
        (lambda store: store.read("x", 0, 1, "0x17"), "read"),
        (lambda store: store.put("x", b"1"), "write"),
        (lambda store: store.delete("x"), "delete"),
        (lambda store: [*store.list("x")], "list"),
    ],
    ids=["stat", "read", "put", "delete", "list"],
)
def test_a_store_that_denies_says_what_is_lacking(refusing, act, action):
    store, answers = refusing
    answers.append((403, "AuthorizationPermissionMismatch"))
    said = rf"^Azure does not let {action} az://account/data/x \(AuthorizationPermissionMismatch\); give the identity a"
    with pytest.raises(StoreError, match=said):
        act(store)


def test_any_other_refusal_is_told_by_its_code(refusing):
    store, answers = refusing
    answers.append((400, "InvalidHeaderValue"))
    with pytest.raises(StoreError, match=r"^Azure does not read az://account/data/x: InvalidHeaderValue\.$"):
        store.stat("x")
