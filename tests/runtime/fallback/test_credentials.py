"""Tokens of Google and Azure, fetched by their own libraries from servers that stand in for the providers."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import perf_counter, time
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from coldpress_runtime.errors import DoorError, DoorLateError
from coldpress_runtime.fallback.door import Door
from tests.support.fault_proxy import Fault
from tests.support.tiny_endpoint import question, settings

ROWS = [[1.0, 2.0, 3.0]]


class Provider(ThreadingHTTPServer):
    """Gives tokens that end in ``seconds``, numbered, and remembers who asked for whom."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Provider)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seconds = 3600
        self.asked = []
        self.broken = False
        self.hold = threading.Event()
        self.hold.set()


class _Provider(BaseHTTPRequestHandler):
    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        self._give(query["resource"][0])

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        claims = json.loads(base64.urlsafe_b64decode(form["assertion"][0].split(".")[1] + "=="))
        self._give(claims.get("target_audience") or claims["scope"])

    def _give(self, audience):
        server = self.server
        server.hold.wait(30)
        server.asked.append(audience)
        ends = int(time()) + server.seconds
        token = ".".join([_part({"alg": "none"}), _part({"exp": ends, "n": len(server.asked)}), "c2ln"])
        body = json.dumps({
            "access_token": token, "id_token": token, "expires_in": server.seconds, "expires_on": str(ends),
            "token_type": "Bearer", "resource": audience,
        }).encode()  # fmt: skip
        self.send_response(400 if server.broken else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"error":"invalid_grant","error_description":"s3cr3t"}' if server.broken else body)

    def log_message(self, *_arguments):
        pass


def _part(claims):
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@pytest.fixture
def provider(monkeypatch, tmp_path):
    server = Provider()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "client_email": "function@project.example", "token_uri": f"{server.url}/token",
        "private_key": key.decode(), "private_key_id": "1", "project_id": "project",
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "header")
    yield server
    server.hold.set()
    server.shutdown()
    server.server_close()


#: Settings of the endpoint, and whom its tokens are for.
KINDS = {
    "google": ({"auth": "google", "audience": "https://service.example"}, "https://service.example"),
    "vertex": ({"kind": "vertex"}, "https://www.googleapis.com/auth/cloud-platform"),
    "azure": ({"auth": "azure", "audience": "api://service"}, "api://service"),
    "azure-ml": ({"kind": "azure-ml", "auth": "azure"}, "https://ml.azure.com"),
}


@pytest.fixture(params=sorted(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def door(make_door, kind):
    return make_door(endpoint=KINDS[kind][0])


def bearer(seen):
    return seen.headers["authorization"].removeprefix("Bearer ")


def ask(door, seconds=20.0):
    return door.ask(question(ROWS), perf_counter() + seconds).status


def test_a_token_is_fetched_once_and_kept(provider, door, proxy, kind):
    assert [ask(door) for _ in range(3)] == [200, 200, 200]
    assert [audience.rstrip("/") for audience in provider.asked] == [KINDS[kind][1]]
    assert len({bearer(seen) for seen in proxy.seen}) == 1
    path = {"vertex": ":rawPredict", "azure-ml": "/score"}.get(kind, "/v2/models/sums/infer")
    assert proxy.seen[0].target == path


@pytest.mark.parametrize("kind", ["google", "vertex"], indirect=True)
def test_a_token_that_ends_soon_is_fetched_again(provider, door, proxy):
    provider.seconds = 60
    assert [ask(door), ask(door)] == [200, 200]
    assert len({bearer(seen) for seen in proxy.seen}) == 2


@pytest.mark.parametrize("kind", ["google", "vertex"], indirect=True)
def test_a_token_that_is_refused_is_fetched_again_once(provider, door, proxy):
    assert ask(door) == 200
    proxy.queue.append(Fault("status", status=401))
    assert ask(door) == 200
    proxy.always = Fault("status", status=401)
    with pytest.raises(DoorError, match="401"):
        ask(door)
    assert len(proxy.seen) == 5


def test_threads_that_ask_at_once_share_one_token(provider, door):
    threads = [threading.Thread(target=ask, args=(door,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.asked) == 1


@pytest.mark.parametrize("kind", ["google", "vertex"], indirect=True)
def test_a_provider_that_does_not_answer_is_waited_for_within_the_deadline(provider, door, proxy):
    provider.hold.clear()
    with pytest.raises(DoorLateError, match="token by Google"):
        ask(door, 0.5)
    assert not proxy.seen


@pytest.mark.parametrize("kind", ["google", "vertex"], indirect=True)
def test_a_provider_that_refuses_is_one_sentence_without_its_words(provider, door, capfd):
    provider.broken = True
    with pytest.raises(DoorError, match="Google gave no token") as raised:
        ask(door)
    assert "s3cr3t" not in str(raised.value) + "".join(capfd.readouterr())


def test_vertex_is_asked_by_its_name_and_region():
    name = "projects/p/locations/us-central1/endpoints/7"
    door = Door(settings(endpoint={"kind": "vertex", "name": name, "region": "us-central1"}), {})
    assert door._asking.origin.host == "us-central1-aiplatform.googleapis.com"
    assert door._asking._path == f"/v1/{name}:rawPredict"
