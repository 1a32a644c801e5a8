"""The example packed for Function Compute with a bucket to watch: its events, its role, its store, its answers."""

import fnmatch
import hashlib
import json
import sys

import pytest
import yaml

from coldpress.emulate.alibaba_events import oss_event
from coldpress.emulate.function import start
from coldpress.emulate.http import HttpRequest
from coldpress_runtime.oss import Bucket
from tests.support.local_oss import CREDENTIALS, LocalOss, sdk
from tests.support.packing import coldpress, shared

pytestmark = [
    pytest.mark.skipif(not sdk().exists(), reason="`make tools` has not made .tools/alibaba"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="providers run functions on Linux"),
]

_SETTINGS = """
[model]
source = "{model}"
name = "digits"
[function]
environment = {{ COLDPRESS_INPUT_PREFIX = "in/" }}
[targets.alibaba]
region = "eu-central-1"
uploads_bucket = "pictures"
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory, digits):
    def make(folder):
        folder.mkdir()
        (folder / "coldpress.toml").write_text(_SETTINGS.format(model=digits / "model.onnx"))
        run = coldpress("pack", "--config", folder / "coldpress.toml", "--target", "alibaba", "--out", folder / "out")
        assert run.returncode == 0, run.stderr

    return shared(tmp_path_factory, "uploads-alibaba", make) / "out"


@pytest.fixture
def store():
    with LocalOss() as running:
        yield running


@pytest.fixture
def bucket(store, monkeypatch):
    """The bucket, from where its owner stands."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLDPRESS_OSS_ENDPOINT", store.endpoint)
    return Bucket("eu-central-1", "pictures")


@pytest.fixture
def function(build, store):
    """The function as deployed: the variables of s.yaml, and the credentials of its role."""
    props = yaml.safe_load((build / "s.yaml").read_text())["resources"]["function"]["props"]
    given = props["environmentVariables"] | CREDENTIALS | {"COLDPRESS_OSS_ENDPOINT": store.endpoint}
    with start(build, environment=given) as running:
        yield running


def _event(key, content):
    return oss_event("pictures", [(key, len(content), hashlib.md5(content).hexdigest().upper())], "eu-central-1")


def _score(function, key, content):
    done = function.invoke(_event(key, content))
    assert done.error is None, done.error
    return json.loads(done.payload)["written"]


def test_an_upload_is_answered_like_a_request_and_twice_the_same(function, bucket, store, digits):
    body = (digits / "request.json").read_bytes()
    bucket.put("in/one.json", body)
    assert _score(function, "in/one.json", body) == ["scores/one.json.json"]
    first = bucket.get("scores/one.json.json")
    assert first == function.call(HttpRequest("POST", "/predict", body=body)).reply.body
    assert _score(function, "in/one.json", body) == ["scores/one.json.json"]
    assert bucket.get("scores/one.json.json") == first
    assert [each["key"] for each in store.requests() if each["method"] == "PUT"] == [
        "in/one.json", "scores/one.json.json", "scores/one.json.json",
    ]  # fmt: skip


def test_after_an_event_that_is_wrong_the_right_one_is_scored(function, bucket, digits):
    body = (digits / "request.json").read_bytes()
    bucket.put("in/one.json", body)
    wrong = function.invoke(_event("in/one.json", body).replace(b"pictures", b"Pictures"))
    assert wrong.error["errorType"] == "RequestError"
    assert _score(function, "in/one.json", body) == ["scores/one.json.json"]


def test_a_store_that_refuses_is_an_error_that_the_platform_sees(build, bucket, store, digits):
    body = (digits / "request.json").read_bytes()
    bucket.put("in/one.json", body)
    wrong = CREDENTIALS | {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "of another role", "COLDPRESS_INPUT_PREFIX": "in/"}
    with start(build, environment=wrong | {"COLDPRESS_OSS_ENDPOINT": store.endpoint}) as function:
        error = function.invoke(_event("in/one.json", body)).error
    assert error["errorType"] == "OSError"
    assert "403 SignatureDoesNotMatch" in error["errorMessage"]


def test_the_function_asks_of_the_store_what_its_role_allows_and_nothing_else(function, bucket, store, build, digits):
    body = (digits / "request.json").read_bytes()
    bucket.put("in/one.json", body)
    bucket.put("in/two.json", b"{")
    own = len(store.requests())
    assert _score(function, "in/one.json", body) == ["scores/one.json.json"]
    assert _score(function, "in/two.json", b"{") == ["scores/two.json.error.json"]
    assert _score(function, "scores/one.json.json", b"{}") == [None]
    assert _score(function, "elsewhere/one.json", body) == [None]
    policy = json.loads((build / "ram" / "function-policy.json").read_text())["Statement"]
    allowed = {each["Action"].removeprefix("oss:"): each["Resource"].rpartition(":")[2] for each in policy}
    asked = store.requests()[own:]
    assert len(asked) == 4
    for each in asked:
        pattern = allowed[{"GET": "GetObject", "PUT": "PutObject"}[each["method"]]]
        assert fnmatch.fnmatchcase(f"{each['bucket']}/{each['key']}", pattern)


def test_the_trigger_tells_of_what_the_function_scores(build):
    props = yaml.safe_load((build / "s.yaml").read_text())["resources"]["function"]["props"]
    (trigger,) = [each for each in props["triggers"] if each["triggerType"] == "oss"]
    assert trigger["sourceArn"].endswith(":pictures")
    assert (
        trigger["triggerConfig"]["filter"]["key"]["prefix"] == props["environmentVariables"]["COLDPRESS_INPUT_PREFIX"]
    )
