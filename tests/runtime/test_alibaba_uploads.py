"""Function Compute's OSS trigger against a store that judges each signature by OSS's own SDK."""

import gzip
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from coldpress_runtime.alibaba_fc import make_handler
from coldpress_runtime.errors import ColdpressError, RequestError
from coldpress_runtime.oss import Bucket
from tests.support.local_oss import CREDENTIALS, LocalOss, sdk
from tests.support.tiny import write_bundle

pytestmark = pytest.mark.skipif(not sdk().exists(), reason="`make tools` has not made .tools/alibaba")

_EVENT = json.loads((Path(__file__).parent.parent / "events" / "alibaba" / "oss_put.json").read_text())
_CONTEXT = SimpleNamespace(request_id="1-64f6cd87-xmpl", region="cn-shanghai")
_BODY = b'{"inputs": {"x": [[1.5, -2.0]]}}'
_ANSWER = {"outputs": {"y": [[1.5, -2.0]]}}


@pytest.fixture(scope="module")
def store():
    with LocalOss() as running:
        yield running


@pytest.fixture
def bucket(store, monkeypatch, request):
    """A bucket of this test's own, which the function may read and write."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLDPRESS_OSS_ENDPOINT", store.endpoint)
    name = f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    made = Bucket("cn-shanghai", name)
    made.name = name
    return made


@pytest.fixture(scope="module")
def handler(tmp_path_factory):
    return make_handler(str(write_bundle(tmp_path_factory.mktemp("bundle") / "b", "fp32")))


def _event(bucket, *uploads, kind="ObjectCreated:PutObject"):
    """An event of these uploads: pairs of a key and its content."""
    records = []
    for key, content in uploads:
        record = json.loads(json.dumps(_EVENT["events"][0])) | {"eventName": kind}
        record["oss"]["bucket"]["name"] = bucket.name
        record["oss"]["object"] |= {
            "key": key, "size": len(content), "eTag": hashlib.md5(content).hexdigest().upper()
        }  # fmt: skip
        records.append(record)
    return json.dumps({"events": records}, ensure_ascii=False).encode()


def _put(bucket, *uploads, **options):
    for key, content in uploads:
        bucket.put(key, content)
    return _event(bucket, *uploads, **options)


def _seen(store, bucket):
    return [(each["method"], each["key"], each["status"]) for each in store.requests() if each["bucket"] == bucket.name]


@pytest.mark.parametrize(
    "key", ["uploads/one.json", "uploads/deep/ä ö+&?#%41 你好.json", "uploads//x", "uploads/a=b;c"]
)
def test_an_upload_is_scored_beside_it(handler, bucket, key):
    assert handler(_put(bucket, (key, _BODY)), _CONTEXT) == {"written": [f"scores/{key[8:]}.json"]}
    assert json.loads(bucket.get(f"scores/{key[8:]}.json")) == _ANSWER


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_an_upload_that_is_kept_compressed_is_scored_too(handler, bucket, encoding):
    content = gzip.compress(_BODY) if encoding == "gzip" else _BODY
    bucket._request("PUT", "uploads/one.json", content, {}, {"content-encoding": encoding})
    assert handler(_event(bucket, ("uploads/one.json", content)), _CONTEXT) == {"written": ["scores/one.json.json"]}
    assert json.loads(bucket.get("scores/one.json.json")) == _ANSWER


def test_the_same_event_twice_writes_the_same_bytes_to_the_same_key(handler, bucket, store):
    event = _put(bucket, ("uploads/one.json", _BODY))
    assert handler(event, _CONTEXT) == handler(event, _CONTEXT)
    written = [each for each in store.requests() if each["bucket"] == bucket.name and each["key"].startswith("scores/")]
    assert len(written) == 2
    assert len({(each["key"], each["sha256"]) for each in written}) == 1


def test_several_uploads_in_one_event(handler, bucket):
    event = _put(bucket, ("uploads/1", _BODY), ("other/2", _BODY), ("uploads/3", _BODY))
    assert handler(event, _CONTEXT) == {"written": ["scores/1.json", None, "scores/3.json"]}


@pytest.mark.parametrize("kind", ["ObjectRemoved:DeleteObject", "ObjectCreated:UploadPart", "ObjectModified:X"])
def test_what_makes_no_whole_object_is_not_scored(handler, bucket, store, kind):
    event = _event(bucket, ("uploads/one.json", _BODY), kind=kind)
    assert handler(event, _CONTEXT) == {"written": []}
    assert _seen(store, bucket) == []


def test_an_answer_is_never_scored_again(handler, bucket, store):
    event = _put(bucket, ("scores/one.json", _BODY))
    assert handler(event, _CONTEXT) == {"written": [None]}
    assert _seen(store, bucket) == [("PUT", "scores/one.json", 200)]


def test_what_the_sender_must_mend_is_written_as_an_error(handler, bucket):
    assert handler(_put(bucket, ("uploads/one.json", b"{")), _CONTEXT) == {"written": ["scores/one.json.error.json"]}
    assert "error" in json.loads(bucket.get("scores/one.json.error.json"))


def test_an_object_that_is_gone_or_replaced_is_left_to_its_own_event(handler, bucket, store):
    event = _put(bucket, ("uploads/one.json", _BODY))
    bucket.put("uploads/one.json", b'{"inputs": {"x": [[3, 4]]}}')
    assert handler(event, _CONTEXT) == {"written": [None]}
    assert handler(_event(bucket, ("uploads/gone", _BODY)), _CONTEXT) == {"written": [None]}
    assert [status for _, _, status in _seen(store, bucket)] == [200, 200, 412, 404]


def test_a_store_that_refuses_makes_the_platform_send_the_event_again(handler, bucket, monkeypatch):
    event = _put(bucket, ("uploads/one.json", _BODY))
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "another")
    with pytest.raises(OSError, match=r"403 SignatureDoesNotMatch to GET oss://.*expected the function's role"):
        handler(event, _CONTEXT)


def test_a_store_that_is_down_makes_the_platform_send_the_event_again(handler, bucket, monkeypatch):
    event = _put(bucket, ("uploads/one.json", _BODY))
    monkeypatch.setenv("COLDPRESS_OSS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match="refused"):
        handler(event, _CONTEXT)


def test_a_failure_of_the_function_makes_the_platform_send_the_event_again(bucket, tmp_path):
    hooks = "def postprocess(outputs):\n    raise RuntimeError('broken')\n"
    broken = make_handler(str(write_bundle(tmp_path / "b", "fp32", hooks)))
    with pytest.raises(ColdpressError):
        broken(_put(bucket, ("uploads/one.json", _BODY)), _CONTEXT)


def test_the_mime_type_reaches_the_hook(bucket, tmp_path):
    hooks = """
def preprocess(request):
    global kind
    kind = request.headers["content-type"]
    return {"x": [[1, 2]]}

def postprocess(outputs):
    return kind
"""
    event = json.loads(_put(bucket, ("uploads/one.png", b"PNG")))
    event["events"][0]["oss"]["object"]["objectMeta"]["mimeType"] = "image/png"
    make_handler(str(write_bundle(tmp_path / "b", "fp32", hooks)))(json.dumps(event).encode(), _CONTEXT)
    assert json.loads(bucket.get("scores/one.png.json")) == "image/png"


@pytest.mark.parametrize(
    ("region", "name"), [("cn-shanghai", "evil.example/"), ("cn-shanghai.evil.example/", "b"), ("cn", "B"), ("", "é")]
)
def test_credentials_go_to_no_other_host(region, name):
    with pytest.raises(RequestError, match="which OSS cannot have"):
        Bucket(region, name)


@pytest.mark.parametrize("break_it", [lambda r: r.pop("region"), lambda r: r["oss"].pop("object"), lambda r: r.clear()])
def test_an_event_with_a_field_missing_is_one_sentence(handler, bucket, break_it):
    event = json.loads(_event(bucket, ("uploads/one.json", _BODY)))
    break_it(event["events"][0])
    with pytest.raises(RequestError):
        handler(json.dumps(event).encode(), _CONTEXT)
