"""The token that Cloud Storage is asked with, from a metadata server of the test's own."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from coldpress_runtime import gcs


@pytest.fixture
def metadata(monkeypatch):
    """A metadata server: it says what it is told to, and remembers what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, self.headers.get("Metadata-Flavor")))
            body = json.dumps({"access_token": f"token-{len(server.asked)}", "expires_in": server.lasts}).encode()
            self.send_response(server.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.lasts, server.status = [], 3600, 200
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        monkeypatch.setattr(gcs, "_token", ("", 0.0))
        yield server
        server.shutdown()


def test_a_token_is_asked_for_once_while_it_lasts(metadata):
    assert [gcs._access_token() for _ in range(3)] == ["token-1"] * 3
    assert metadata.asked == [("/computeMetadata/v1/instance/service-accounts/default/token", "Google")]


def test_a_token_about_to_expire_is_asked_for_again(metadata):
    metadata.lasts = 30
    assert [gcs._access_token() for _ in range(2)] == ["token-1", "token-2"]


def test_a_metadata_server_without_a_token_is_said(metadata):
    metadata.status = 404
    with pytest.raises(OSError, match="answered 404 instead of a token; has the service an account"):
        gcs._access_token()
