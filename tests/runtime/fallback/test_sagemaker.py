"""Endpoints of SageMaker: real-time and asynchronous, against a local AWS and against what SageMaker says of errors."""

import json
import struct
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import perf_counter, time

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import get_session

from coldpress_runtime.errors import DoorAnswerError, DoorError, ManifestError, NotFoundError, WakingError
from coldpress_runtime.fallback.door import Door
from tests.support.fault_proxy import Fault
from tests.support.local_aws import LocalAws
from tests.support.tiny_endpoint import binary_question, expected, question, settings

ROWS = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
SECRET = "wJalrXUtnFEMI-test"
REALTIME = {"kind": "sagemaker", "url": "", "name": "digits", "region": "us-east-1", "allow_private": False}


def soon(seconds=20.0):
    return perf_counter() + seconds


def answer(rows):
    flat = [value for row in expected(rows) for value in row]
    item = {"name": "y", "datatype": "FP32", "shape": [len(rows), 2], "data": flat}
    return json.dumps({"model_name": "sums", "outputs": [item]})


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def realtime(make_door, proxy):
    """A door to a real-time endpoint, which is the tiny one behind the proxy."""
    return make_door({"AWS_ENDPOINT_URL": proxy.url}, endpoint=REALTIME)


def test_questions_are_signed_over_what_arrives(realtime, proxy):
    asked = question(ROWS, **{"x-request-id": "a-1", "traceparent": "00-1-2-01", "accept": "*/*"})
    assert json.loads(realtime.ask(asked, soon()).body)["outputs"][0]["data"] == [6.0, 12.0, 15.0, 30.0]
    seen = proxy.seen[0]
    assert seen.target == "/endpoints/digits/invocations"
    assert seen.headers["x-amzn-sagemaker-inference-id"] == "a-1"
    assert "00-1-2-01" in seen.headers["x-amzn-sagemaker-custom-attributes"]
    assert seen.headers["x-amz-security-token"] == "session-token"
    assert SECRET not in str(seen)
    signed = seen.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert {"host", "x-amz-date", "content-type"} <= set(signed)
    assert seen.headers["authorization"] == signature(seen, proxy.port, "sagemaker", signed)


def signature(seen, port, service, signed):
    """What AWS finds when it signs what arrived."""
    headers = {name: seen.headers[name] for name in signed if name != "host"}
    request = AWSRequest(seen.method, f"http://127.0.0.1:{port}{seen.target}", headers, seen.body)
    request.context["timestamp"] = seen.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", SECRET, None), service, "us-east-1")
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={';'.join(signed)}, "
        f"Signature={signer.signature(text, request)}"
    )


def test_credentials_come_from_wherever_botocore_finds_them(realtime, proxy, monkeypatch, tmp_path):
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = x\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    assert [realtime.ask(question(ROWS), soon()).status for _ in range(2)] == [200, 200]
    assert "Credential=AKIDFILE/" in proxy.seen[1].headers["authorization"]
    assert "x-amz-security-token" not in proxy.seen[1].headers


def test_without_credentials_nothing_is_sent(realtime, proxy, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DoorError, match="no AWS credentials"):
        realtime.ask(question(ROWS), soon())
    assert not proxy.seen


@pytest.mark.parametrize("length", [512, 1024])
def test_no_callers_header_makes_one_that_sagemaker_refuses(realtime, proxy, length):
    """It takes 1024 characters, and refuses in the same words when the endpoint is not there."""
    ids = dict.fromkeys(("traceparent", "x-request-id", "inference-header-content-length"), "1" * length)
    realtime.ask(question(ROWS, **ids), soon())
    for name in ("x-amzn-sagemaker-custom-attributes", "content-type"):
        assert len(proxy.seen[-1].headers.get(name, "")) <= 1024


def test_binary_tensors_go_under_a_content_type_of_their_own(realtime, proxy):
    asked = binary_question(ROWS)
    item = {"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    text = json.dumps({"outputs": [item]}).encode()
    kind = f"application/vnd.sagemaker-triton.binary+json;json-header-size={len(text)}"
    proxy.queue.append(
        Fault("status", status=200, headers={"Content-Type": kind}, body=text + struct.pack("<4f", 6, 12, 15, 30))
    )
    response = realtime.ask(asked, soon())
    assert response.headers["Inference-Header-Content-Length"] == str(len(text))
    length = asked.headers["inference-header-content-length"]
    assert proxy.seen[0].headers["content-type"].endswith(f"json-header-size={length}")


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_off_is_answered_by_signing_again(realtime, proxy, hours):
    theirs = datetime.now(UTC) + timedelta(hours=hours)
    refusal = Fault("status", status=403, headers={"Date": format_datetime(theirs, usegmt=True)},
                    body=b'{"message":"Signature expired"}')  # fmt: skip
    proxy.queue.append(refusal)
    assert realtime.ask(question(ROWS), soon()).status == 200
    assert realtime.ask(question(ROWS), soon()).status == 200
    assert len(proxy.seen) == 3
    for seen in proxy.seen[1:]:
        stamp = datetime.strptime(seen.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs((stamp - theirs).total_seconds()) < 120


def test_a_refusal_with_the_right_time_is_not_asked_again(realtime, proxy, capfd):
    now = format_datetime(datetime.now(UTC), usegmt=True)
    proxy.always = Fault("status", status=403, headers={"Date": now}, body=b'{"message":"not authorized"}')
    with pytest.raises(DoorError, match="permissions") as raised:
        realtime.ask(question(ROWS), soon())
    assert len(proxy.seen) == 1
    assert SECRET not in str(raised.value) + "".join(capfd.readouterr())


def model_error(status, message):
    told = f'Received client error ({status}) from primary with message "{message}".'
    document = {"Message": told, "OriginalStatusCode": status, "OriginalMessage": message}
    return Fault("status", status=424, body=json.dumps(document).encode())


def test_what_the_container_refused_comes_out_of_its_wrapping(realtime, proxy):
    proxy.queue.append(model_error(400, '{"error":"Input \'x\' is wrong."}'))
    response = realtime.ask(question(ROWS), soon())
    assert (response.status, response.body) == (400, b'{"error":"Input \'x\' is wrong."}')
    said = '{"error":"There is no input named no capacity."}'  # the caller's words, which are not SageMaker's
    proxy.queue.append(model_error(400, said))
    assert realtime.ask(question(ROWS), soon()).body == said.encode()
    proxy.queue.append(model_error(500, "secret internals"))
    with pytest.raises(DoorError, match="answered 500") as raised:
        realtime.ask(question(ROWS), soon())
    assert "internals" not in str(raised.value)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=400, body=b'{"Message":"Inference Component has no capacity to process this request."}'),
        Fault("status", status=429, headers={"x-amzn-ErrorType": "ModelNotReadyException:"}, body=b'{"Message":""}'),
    ],
    ids=["no-capacity", "not-ready"],
)
def test_an_endpoint_without_instances_wakes(realtime, proxy, fault):
    proxy.always = fault
    with pytest.raises(WakingError) as raised:
        realtime.ask(question(ROWS), soon())
    assert raised.value.retry_after == 30
    with pytest.raises(WakingError):
        realtime.ask(question(ROWS), soon())
    assert len(proxy.seen) == 1, "it is left alone meanwhile"


@pytest.mark.parametrize("body", [b'{"Message":"Endpoint digits not found"}', b"", b"[]", b"{",
                                  b'{"OriginalStatusCode":Infinity}'])  # fmt: skip
def test_what_sagemaker_itself_refuses_is_not_the_callers_fault(realtime, proxy, body):
    proxy.always = Fault("status", status=400, headers={"x-amzn-ErrorType": "ValidationError:"}, body=body)
    with pytest.raises(DoorError):
        realtime.ask(question(ROWS), soon())


@pytest.mark.parametrize(
    ("changes", "environ", "said"),
    [
        ({"name": ""}, {}, "COLDPRESS_FALLBACK_ENDPOINT"),
        ({"name": "a/../b?c"}, {}, "no name"),
        ({"region": ""}, {}, "AWS_REGION"),
        ({"kind": "sagemaker-async", "output": ""}, {}, "COLDPRESS_FALLBACK_OUTPUT"),
        ({"kind": "sagemaker-async", "output": "https://bucket/jobs"}, {}, "s3://bucket/prefix/"),
        ({"kind": "sagemaker-async", "output": "s3://bucket/../jobs?"}, {}, "s3://bucket/prefix/"),
    ],
)
def test_what_is_missing_shows_at_once(changes, environ, said):
    with pytest.raises(ManifestError, match=said):
        Door(settings(endpoint=REALTIME | changes), environ)


# Against a local AWS.


@pytest.fixture(scope="module")
def aws():
    with LocalAws() as running:
        yield running


@pytest.fixture
def store(aws):
    session = get_session()
    session.set_credentials("testing", "testing")
    client = session.create_client("s3", region_name="us-east-1", endpoint_url=aws.endpoint)
    yield client
    client.close()


@pytest.fixture
def bucket(store):
    name = f"digits-{uuid.uuid4().hex}"
    store.create_bucket(Bucket=name)
    return name


@pytest.fixture
def make_queue(aws, bucket, make_door):
    """Doors to an asynchronous endpoint that leaves its answers in the bucket."""

    def make(waking="queue", **changes):
        place = REALTIME | {"kind": "sagemaker-async", "name": bucket, "output": f"s3://{bucket}/jobs"} | changes
        return make_door({"AWS_ENDPOINT_URL": aws.endpoint}, endpoint=place, waking=waking)

    return make


def leave(aws, **result):
    """Let the endpoint answer the next invocation."""
    body = json.dumps({"results": [result]}).encode()
    url = f"{aws.endpoint}/moto-api/static/sagemaker/{'async-' if 'data' in result else ''}endpoint-results"
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30):
        pass


def test_a_real_time_invocation(aws, make_door):
    leave(aws, Body=answer(ROWS), ContentType="application/json")
    door = make_door({"AWS_ENDPOINT_URL": aws.endpoint}, endpoint=REALTIME | {"name": f"e-{uuid.uuid4().hex}"})
    assert json.loads(door.ask(question(ROWS), soon()).body) == json.loads(answer(ROWS))


def test_a_queued_question_is_answered_later(make_queue, store, bucket):
    door = make_queue()
    queued = door.ask(question(ROWS), soon())
    job = json.loads(queued.body)["id"]
    assert (queued.status, queued.headers["Location"]) == (202, f"/v2/jobs/{job}")
    assert int(queued.headers["Retry-After"]) > 0
    assert json.loads(queued.body)["status"] == "queued"
    assert door.status(job).status == 202
    store.put_object(Bucket=bucket, Key=f"jobs/{job.partition('-')[2]}.out", Body=answer(ROWS).encode())
    found = door.status(job)
    assert (found.status, json.loads(found.body)) == (200, json.loads(answer(ROWS)))
    assert make_queue().status(job).status == 200, "any copy of the function may be asked"


def test_a_binary_answer_finds_its_header_again(make_queue, store, bucket):
    door = make_queue()
    job = json.loads(door.ask(question(ROWS), soon()).body)["id"]
    item = {"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}}
    text = json.dumps({"outputs": [item]}).encode()
    body = text + struct.pack("<4f", 6, 12, 15, 30)
    store.put_object(Bucket=bucket, Key=f"jobs/{job.partition('-')[2]}.out", Body=body)
    found = door.status(job)
    assert (found.body, found.headers["Inference-Header-Content-Length"]) == (body, str(len(text)))


def test_a_job_that_failed_says_so_without_its_details(aws, make_queue):
    leave(aws, data="secret internals", is_failure=True)
    door = make_queue()
    job = json.loads(door.ask(question(ROWS), soon()).body)["id"]
    with pytest.raises(DoorError, match="could not answer") as raised:
        door.status(job)
    assert raised.value.status == 502
    assert "internals" not in str(raised.value)


def test_a_job_with_another_models_answer_is_no_answer(make_queue, store, bucket):
    door = make_queue()
    job = json.loads(door.ask(question(ROWS), soon()).body)["id"]
    store.put_object(Bucket=bucket, Key=f"jobs/{job.partition('-')[2]}.out", Body=b'{"predictions": ["x"]}')
    with pytest.raises(DoorAnswerError):
        door.status(job)


@pytest.mark.parametrize("size", [1, 10_000])
def test_without_queueing_the_answer_is_waited_for(aws, make_queue, store, bucket, size):
    rows = [[1.0, 2.0, 3.0]] * size
    leave(aws, data=answer(rows))
    response = make_queue("small").ask(question(rows), soon())
    assert json.loads(response.body) == json.loads(answer(rows))
    inputs = store.list_objects_v2(Bucket=bucket, Prefix="jobs/inputs/").get("Contents", [])
    assert len(inputs) == (size > 1), "a body over what goes inline goes to the store"


def test_and_what_does_not_come_in_time_wakes(make_queue):
    with pytest.raises(WakingError):
        make_queue("refuse").ask(question(ROWS), soon(1.5))


def test_ids_of_other_objects_read_nothing(make_queue, store, bucket):
    store.put_object(Bucket=bucket, Key="jobs/secret.out", Body=answer(ROWS).encode())
    store.put_object(Bucket=bucket, Key="secret", Body=answer(ROWS).encode())
    door = make_queue()
    real = json.loads(door.ask(question(ROWS), soon()).body)["id"]
    stamp, _, name = real.partition("-")
    for job in (
        "", "secret", f"{stamp}-secret", f"{stamp}-../secret", f"{real}/../../secret", f"{real}.out", f"{real}?a",
        f"{real}\n", real.upper(), f"ffffffff-{name}", f"inputs/{name}", "a" * 10_000, f"{stamp}-{'0' * 32}",
    ):  # fmt: skip
        with pytest.raises(NotFoundError):
            door.status(job)
    long_ago = f"{int(time()) - 86_400:08x}-{name}"
    with pytest.raises(NotFoundError, match="any more"):
        door.status(long_ago)


def test_an_output_elsewhere_than_said_shows_with_the_first_question(make_queue, bucket):
    with pytest.raises(DoorAnswerError, match="S3OutputPath"):
        make_queue(output=f"s3://{bucket}/other/").ask(question(ROWS), soon())


def test_a_bucket_that_is_not_there_is_one_sentence(make_queue):
    with pytest.raises(DoorError):
        make_queue(name="nobody", output="s3://nobody/jobs/").ask(question([[1.0, 2.0, 3.0]] * 10_000), soon())
