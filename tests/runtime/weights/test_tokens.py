"""Who reads: credentials that the provider's own machine gives, asked for as each provider documents it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights import blob, gcs, s3


@pytest.fixture
def machine():
    """What answers on the function's machine: a list of answers to give, and of what was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            status, body = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            """Say nothing."""

    asked, answers = [], []
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}", answers, asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_google_clouds_metadata_server(machine):
    address, answers, asked = machine
    answers.append((200, json.dumps({"access_token": "very-secret", "expires_in": 3599})))
    found = gcs.open_object("gs://my-bucket/models/a b.ort", {"GCE_METADATA_HOST": address})
    path, headers = found.request(8, 16, "")
    assert (found.host, found.port, found.tls) == ("storage.googleapis.com", 443, True)
    assert path == "/storage/v1/b/my-bucket/o/models%2Fa%20b.ort?alt=media"
    assert headers == {"Authorization": "Bearer very-secret", "Range": "bytes=8-15"}
    assert found.request(8, 16, "123")[0].endswith("?alt=media&ifGenerationMatch=123")
    assert asked[0][0].startswith("/computeMetadata/v1/instance/service-accounts/default/token")
    assert asked[0][1]["Metadata-Flavor"] == "Google"


def test_azures_managed_identity(machine):
    address, answers, asked = machine
    answers.append((200, json.dumps({"access_token": "very-secret", "resource": "https://storage.azure.com/"})))
    environment = {
        "IDENTITY_ENDPOINT": f"http://{address}/msi/token",
        "IDENTITY_HEADER": "the-header",
        "AZURE_CLIENT_ID": "of-the-app",
    }
    found = blob.open_object("az://account/models/big.ort", environment)
    path, headers = found.request(8, 16, '"etag"')
    assert (found.host, found.port, found.tls) == ("account.blob.core.windows.net", 443, True)
    assert path == "/models/big.ort"
    assert headers["Authorization"] == "Bearer very-secret"
    assert (headers["x-ms-range"], headers["If-Match"]) == ("bytes=8-15", '"etag"')
    assert "resource=https%3A%2F%2Fstorage.azure.com%2F&client_id=of-the-app" in asked[0][0]
    assert asked[0][1]["X-IDENTITY-HEADER"] == "the-header"


def test_lambda_with_snapstart(machine):
    """It gives credentials at an address, because variables would be in every copy of the snapshot."""
    address, answers, asked = machine
    answers.append((200, json.dumps({"AccessKeyId": "AKID", "SecretAccessKey": "very-secret", "Token": "session"})))
    environment = {
        "AWS_REGION": "eu-central-1",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://{address}/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the-token",
    }
    found = s3.open_object("s3://my-bucket/models/big.ort", environment)
    path, headers = found.request(8, 16, '"etag"')
    assert (found.host, path) == ("my-bucket.s3.eu-central-1.amazonaws.com", "/models/big.ort")
    assert headers["x-amz-security-token"] == "session"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    assert "host;if-match;range;x-amz-content-sha256;x-amz-date;x-amz-security-token" in headers["authorization"]
    assert "very-secret" not in str(headers)
    assert asked[0][1]["Authorization"] == "the-token"


@pytest.mark.parametrize(
    ("url", "region", "host", "path"),
    [
        ("s3://bucket/key", "us-east-1", "bucket.s3.us-east-1.amazonaws.com", "/key"),
        ("s3://bucket/key", "cn-north-1", "bucket.s3.cn-north-1.amazonaws.com.cn", "/key"),
        ("s3://a.b.c/key", "us-east-1", "s3.us-east-1.amazonaws.com", "/a.b.c/key"),
    ],
)
def test_where_s3_is(url, region, host, path):
    variables = {"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    found = s3.open_object(url, variables)
    assert (found.host, found.request(0, 1, "")[0], found.tls) == (host, path, True)


@pytest.mark.parametrize(
    "answers",
    [
        [(404, "{}")] * 3,
        [(200, "no JSON, very-secret")] * 3,
        [(200, '{"token": "very-secret"}')] * 3,
        [(200, '["very-secret"]')] * 3,
    ],
)
def test_a_machine_that_gives_none(machine, answers):
    address, given, asked = machine
    given.extend(answers)
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1 gives the function no identity \(status \d+") as told:
        gcs.open_object("gs://bucket/key", {"GCE_METADATA_HOST": address})
    assert "very-secret" not in str(told.value)
    assert len(asked) == 3


def test_a_machine_that_gives_it_in_the_end(machine):
    address, answers, _ = machine
    answers.extend([(503, ""), (200, '{"access_token": "x"}')])
    assert gcs.open_object("gs://bucket/key", {"GCE_METADATA_HOST": address})
