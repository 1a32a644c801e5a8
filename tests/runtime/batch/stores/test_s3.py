"""What S3 answers when things go wrong: refusals, throttling, answers that are lost on the way."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from coldpress_runtime.batch.stores import open_store
from coldpress_runtime.batch.stores import s3 as stores_s3
from coldpress_runtime.batch.stores.s3 import S3Store
from coldpress_runtime.errors import ChangedError, ConflictError, StoreError

ETAG = {"ETag": '"abc"'}


def refusal(status, code):
    text = f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>"
    return status, {}, text.encode()


@pytest.fixture
def s3(monkeypatch):
    """A server that answers with what it is told to, in turn, and then that all is well."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append((self.command, self.path, self.headers))
            status, headers, body = server.answers.pop(0) if server.answers else (200, ETAG, b"")
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if "Content-Length" in headers:
                self.close_connection = True

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answers = [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        server.store = S3Store("bucket")
        yield server
        server.store._client.close()
        server.shutdown()


def acts(store):
    token = {"key": "a b", "upload": "u"}
    return {
        "s3:GetObject": [lambda: store.stat("a b"), lambda: store.read("a b", 0, 1, "v")],
        "s3:PutObject": [
            lambda: store.put("a b", b""),
            lambda: store.begin("a b"),
            lambda: store.add(token, 1, b""),
        ],
        "s3:DeleteObject": [lambda: store.delete("a b")],
        "s3:ListBucket": [lambda: list(store.list("a b"))],
        "s3:AbortMultipartUpload": [lambda: store.abandon(token)],
    }


def test_a_bucket_that_denies_is_told_with_the_action_and_the_key(s3):
    for action, calls in acts(s3.store).items():
        for call in calls:
            s3.answers = [refusal(403, "AccessDenied")] * 2
            with pytest.raises(StoreError) as raised:
                call()
            assert str(raised.value).startswith(f"S3 denies {action} on s3://bucket/a b; allow it in the role's policy")
            assert str(raised.value).endswith(".")


def listing(*keys):
    contents = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
    return 200, {}, f"<ListBucketResult>{contents}</ListBucketResult>".encode()


@pytest.mark.parametrize("others", [(), ("k.parts/1",)], ids=["nothing", "others"])
def test_a_role_that_may_list_a_prefix_alone_tells_what_is_missing(s3, others):
    """S3 denies to look at a missing object, since looking says nothing of the prefix; but it lists that prefix."""
    s3.answers = [refusal(403, "AccessDenied"), listing(*others)]
    assert s3.store.stat("k") is None
    s3.answers = [refusal(403, "AccessDenied"), listing(*others)]
    with pytest.raises(ChangedError, match=r"^s3://bucket/k is gone\.$"):
        s3.store.read("k", 0, 1, "v")
    s3.answers = [refusal(403, "AccessDenied"), listing("k", *others)]
    with pytest.raises(StoreError, match="S3 denies s3:GetObject on s3://bucket/k"):
        s3.store.stat("k")


def test_a_role_that_must_not_list_uploads_finishes_its_own(s3):
    s3.answers = [refusal(403, "AccessDenied")]
    s3.store.finish({"key": "k", "upload": "u"}, ["1 abc"])
    assert [command for command, *_ in s3.asked] == ["GET", "POST"]
    assert s3.asked[1][2]["If-None-Match"] == "*"


def test_a_missing_bucket_is_told(s3):
    s3.answers = [refusal(404, "NoSuchBucket")]
    with pytest.raises(StoreError, match=r"^There is no bucket bucket; look at its name and at the region\.$"):
        list(s3.store.list(""))


def test_a_busy_store_is_asked_again(s3):
    s3.answers = [refusal(503, "SlowDown")]
    assert s3.store.put("k", b"x") == "abc"
    assert len(s3.asked) == 2


def test_a_put_whose_answer_was_lost_has_succeeded(s3):
    """The SDK sends it again; then the condition does not hold any more, because of the first one."""
    s3.answers = [
        refusal(500, "InternalError"),
        refusal(412, "PreconditionFailed"),
        (200, ETAG | {"Content-Length": "4"}, b""),
        (206, ETAG, b"mine"),
    ]
    assert s3.store.put("k", b"mine", replaces="before") == "abc"
    assert [command for command, *_ in s3.asked] == ["PUT", "PUT", "HEAD", "GET"]
    assert s3.asked[0][2]["If-Match"] == '"before"'


def test_a_put_that_came_too_late_is_a_conflict(s3):
    s3.answers = [
        refusal(412, "PreconditionFailed"),
        (200, ETAG | {"Content-Length": "4"}, b""),
        (206, ETAG, b"ours"),
    ]
    with pytest.raises(ConflictError, match=r"^s3://bucket/k has been written by somebody else in the meantime\.$"):
        s3.store.put("k", b"mine", replaces="")
    assert s3.asked[0][2]["If-None-Match"] == "*"


def test_writes_at_once_are_tried_until_one_was_first(s3):
    s3.answers = [refusal(409, "ConditionalRequestConflict")]
    assert s3.store.put("k", b"x", replaces="") == "abc"
    s3.answers = [
        (200, {}, b"<ListMultipartUploadsResult/>"),
        refusal(409, "ConditionalRequestConflict"),
        refusal(412, "PreconditionFailed"),
    ]
    with pytest.raises(ConflictError, match=r"^s3://bucket/k exists already; it is left as it is\.$"):
        s3.store.finish({"key": "k", "upload": "u"}, ["1 abc"])


def test_a_body_that_breaks_off_is_read_again(s3):
    s3.answers = [(206, {"Content-Length": "10"}, b"01234"), (206, {}, b"0123456789")]
    assert s3.store.read("k", 5, 15, "abc") == b"0123456789"
    assert [headers["Range"] for _, _, headers in s3.asked] == ["bytes=5-14"] * 2
    assert s3.asked[0][2]["If-Match"] == '"abc"'


def test_a_part_that_somebody_replaced_is_a_conflict(s3):
    s3.answers = [(200, {}, b"<ListMultipartUploadsResult/>"), refusal(400, "InvalidPart")]
    with pytest.raises(ConflictError, match=r"^The upload of s3://bucket/k is no more, or a part of it\.$"):
        s3.store.finish({"key": "k", "upload": "u"}, ["1 abc"])


def test_an_input_shorter_than_it_was_has_been_replaced(s3):
    s3.answers = [refusal(416, "InvalidRange")]
    with pytest.raises(ChangedError, match="has been replaced"):
        s3.store.read("k", 100, 200, "v")


def test_a_server_that_is_not_there_is_told_in_a_sentence(monkeypatch, s3):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(stores_s3, "_ATTEMPTS", 1)
    store = S3Store("bucket")
    with pytest.raises(StoreError, match=r"^S3 cannot be asked for s3://bucket/k: .*\.$"):
        store.stat("k")
    store._client.close()


def test_urls_name_a_bucket_and_a_key(s3):
    store, key = open_store("s3://some-bucket/a b/50%.csv")
    assert key == "a b/50%.csv"
    assert store._name(key) == "s3://some-bucket/a b/50%.csv"
    with pytest.raises(StoreError, match="names no bucket"):
        open_store("s3:///key")
