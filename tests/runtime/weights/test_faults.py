"""Stores in which things go wrong: what passes is tried again, what does not is one sentence and no start."""

import hashlib
import os
import re
import socket
import ssl
import struct
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from coldpress_runtime.errors import WeightsError
from coldpress_runtime.weights.read import read_weights
from coldpress_runtime.weights.stream import RANGE_BYTES
from tests.support.range_store import RangeStore, refuse

_URL = "s3://bucket/models/big.ort"
_KEYS = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "very-secret"}
_CONTENT = os.urandom(1 << 20) * 18 + b"the end"  # three ranges


def _wanted(content=_CONTENT, **changes):
    weights = {"url": _URL, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), "parts": 3}
    function = {"memory_mb": 256, "timeout_s": 30} | changes.pop("function", {})
    return SimpleNamespace(weights=SimpleNamespace(**weights | changes), function=SimpleNamespace(**function))


def _read(store, **changes):
    return bytes(read_weights(_wanted(**changes), store.environment))


def _break_off(handler):
    """Half a range, then a reset."""
    handler.send_response(206)
    first, last = map(int, re.findall(r"\d+", handler.headers["range"]))
    handler.send_header("ETag", '"first"')
    handler.send_header("Content-Range", f"bytes {first}-{last}/{len(_CONTENT)}")
    handler.send_header("Content-Length", str(last - first + 1))
    handler.end_headers()
    handler.wfile.write(_CONTENT[first : first + 1000])
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    return True


def _hang_up(handler):
    handler.close_connection = True
    return True


def test_a_file_of_several_ranges_is_read_whole():
    with RangeStore(_CONTENT) as store:
        assert _read(store) == _CONTENT
    assert len(store.asked) == 3
    assert {request["range"] for request in store.asked} == {
        f"bytes={start}-{min(start + RANGE_BYTES, len(_CONTENT)) - 1}" for start in range(0, len(_CONTENT), RANGE_BYTES)
    }


@pytest.mark.parametrize("size", [8, 100, RANGE_BYTES, RANGE_BYTES + 1])
def test_files_of_any_size(size):
    content = _CONTENT[:size]
    with RangeStore(content) as store:
        assert bytes(read_weights(_wanted(content), store.environment)) == content


def test_connections_are_kept():
    with RangeStore(_CONTENT) as store:
        ports = set()

        def note(handler):
            ports.add(handler.client_address[1])

        store._faults[-1] = note
        _read(store, parts=1)
    assert len(ports) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(_break_off, id="reset-in-the-middle"),
        pytest.param(_hang_up, id="no-answer"),
        pytest.param(refuse(503, "SlowDown"), id="throttled"),
        pytest.param(refuse(500, "InternalError"), id="internal-error"),
        pytest.param(refuse(429, "TooMany", Retry_After="0"), id="too-many"),
    ],
)
@pytest.mark.parametrize("number", [0, 2])
def test_what_passes_is_tried_again(fault, number):
    with RangeStore(_CONTENT, [(number, fault)]) as store:
        assert _read(store) == _CONTENT
    assert len(store.asked) == 4


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refuse(404, "NoSuchKey"), r"There is no s3://bucket/models/big\.ort \(404 NoSuchKey\); upload the build's"),
        (refuse(403, "AccessDenied"), r"may not read s3://.* \(403 AccessDenied\), or it is not there; .*s3:GetObject"),
        (refuse(403, "RequestTimeTooSkewed"), r"clock is wrong \(403 RequestTimeTooSkewed\); set the clock"),
        (refuse(401, "InvalidToken"), r"may not read .* \(401 InvalidToken\)"),
        (refuse(301, "PermanentRedirect", Location="http://127.0.0.1:1/"), r"127\.0\.0\.1 sends elsewhere for"),
        (refuse(307, "TemporaryRedirect", Location="http://169.254.169.254/"), r"sends elsewhere for"),
        (refuse(503, "SlowDown"), r"broke off 4 times at byte .* \(status 503 SlowDown\); start the function again"),
        (_break_off, r"broke off 4 times at byte"),
        (refuse(412, "PreconditionFailed"), r"was replaced while it was read"),
        (refuse(400, "ExpiredToken"), r"does not give s3://.* \(400 ExpiredToken\); look at"),
    ],
    ids=["missing", "denied", "clock", "token", "moved", "metadata-address", "throttled", "cut", "changed", "expired"],
)
def test_what_does_not_pass_is_one_sentence(fault, said):
    with RangeStore(_CONTENT, [(-1, fault)]) as store, pytest.raises(WeightsError, match=said) as told:
        _read(store)
    message = str(told.value)
    assert message.count(". ") == 0
    assert "very-secret" not in message
    assert "secrets of the store" not in message


def test_an_object_that_is_replaced_in_the_middle():
    with RangeStore(_CONTENT) as store:

        def replace(handler):
            store.etag = '"second"'

        store._faults[1] = replace
        with pytest.raises(WeightsError, match="was replaced while it was read; start the function again"):
            _read(store, parts=1)
    assert store.asked[1]["if-match"] == '"first"'


def test_an_object_that_is_replaced_between_two_first_answers():
    """Both were asked for before either had said which version it is."""
    with RangeStore(_CONTENT) as store:

        def other(handler):
            store.etag = f'"{handler.client_address[1]}"'
            del handler.headers["if-match"]

        store._faults[-1] = other
        with pytest.raises(WeightsError, match="was replaced while it was read"):
            _read(store)


@pytest.mark.parametrize("there", [len(_CONTENT) - 1, len(_CONTENT) + 1, RANGE_BYTES, 5, 0])
def test_an_object_of_another_size(there):
    with (
        RangeStore((_CONTENT * 2)[:there]) as store,
        pytest.raises(WeightsError, match=rf"has {there:,} bytes, expected {len(_CONTENT):,}; upload the file"),
    ):
        _read(store)


def test_an_object_of_other_bytes():
    other = bytes([_CONTENT[0] ^ 1]) + _CONTENT[1:]
    with RangeStore(other) as store, pytest.raises(WeightsError, match="is not the file that was packed"):
        _read(store)


def test_a_store_that_takes_too_long():
    with RangeStore(_CONTENT) as store:
        for_ever = threading.Event()
        store._faults[1] = lambda _handler: for_ever.wait(20)
        with pytest.raises(WeightsError, match=r"gave \d+\.\d MB of 18\.9 MB in .* and the function has no longer"):
            _read(store, function={"timeout_s": 1})
        for_ever.set()


def test_no_memory_for_it():
    with RangeStore(_CONTENT) as store, pytest.raises(WeightsError, match="has 64 MB of memory; give it 95 MB or more"):
        _read(store, function={"memory_mb": 64})
    assert store.asked == []


def test_what_lambda_says_of_its_memory_counts():
    with RangeStore(_CONTENT) as store, pytest.raises(WeightsError, match="has 94 MB of memory"):
        read_weights(_wanted(), store.environment | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "94"})


def test_nobody_listens():
    with RangeStore(_CONTENT) as store:
        environment = store.environment
    with pytest.raises(WeightsError, match=r"broke off 4 times at byte .*refused"):
        read_weights(_wanted(), environment)


def test_a_server_without_ranges():
    def whole(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(_CONTENT)))
        handler.end_headers()
        handler.wfile.write(_CONTENT)
        return True

    with RangeStore(_CONTENT, [(-1, whole)]) as store, pytest.raises(WeightsError, match="is not given in ranges"):
        _read(store)


def _own_certificate(folder):
    """A server's context whose certificate is signed by nobody but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    (folder / "both.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + made.sign(key, SHA256()).public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    context = _own_certificate(tmp_path)
    with RangeStore(_CONTENT, context=context) as store:
        environment = store.environment | {"AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{store.port}"}
        with pytest.raises(WeightsError, match=r"127\.0\.0\.1, which s3://.* has no certificate to trust"):
            read_weights(_wanted(), environment)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "https://example.com/big.ort",
            "COLDPRESS_WEIGHTS is 'https://example.com/big.ort', expected a URL with s3://",
        ),
        ("s3://bucket", "names no object; expected s3://bucket/key"),
        ("s3:///key", "names no object"),
        ("gs://bucket/", "names no object; expected gs://bucket/key"),
        ("az://account/container", "names no blob; expected az://account/container/key"),
        ("/mnt/none/big.ort", r"/mnt/none/big\.ort cannot be read \(No such file or directory\)"),
    ],
)
def test_places_that_are_none(place, said):
    with pytest.raises(WeightsError, match=said):
        read_weights(_wanted(), {"COLDPRESS_WEIGHTS": place, "AWS_REGION": "x"})


@pytest.mark.parametrize(
    ("place", "environ", "said"),
    [
        ("s3://bucket/key", {}, "No region is set"),
        ("s3://bucket/key", {"AWS_REGION": "eu-central-1"}, "There are no credentials to read s3://bucket/key"),
        (
            "s3://bucket/key",
            _KEYS | {"AWS_ENDPOINT_URL": "http://user:very-secret@host:port"},
            "in AWS_ENDPOINT_URL is none; expected https://HOST",
        ),
        ("s3://bucket/key", _KEYS | {"AWS_ENDPOINT_URL": "localhost:9000"}, "in AWS_ENDPOINT_URL is none"),
        ("gs://bucket/key", {"STORAGE_EMULATOR_HOST": "ftp://very-secret"}, "in STORAGE_EMULATOR_HOST is none"),
        ("gs://bucket/key", {"GCE_METADATA_HOST": "127.0.0.1:1"}, "gives the function no identity"),
        ("az://account/container/key", {}, "There is no identity to read az://account/container/key with"),
        (
            "az://account/container/key",
            {"IDENTITY_ENDPOINT": "http://127.0.0.1:1/msi/token", "IDENTITY_HEADER": "very-secret"},
            "gives the function no identity",
        ),
    ],
    ids=["no-region", "no-credentials", "bad-port", "no-scheme", "ftp", "no-metadata", "no-identity", "dead-identity"],
)
def test_nobody_to_ask_as(place, environ, said):
    with pytest.raises(WeightsError, match=said) as told:
        read_weights(_wanted(), {"COLDPRESS_WEIGHTS": place, **environ})
    assert "very-secret" not in str(told.value)
