"""What the templates of endpoints tell a function by its environment, and what the door makes of it."""

import pytest

from coldpress_runtime.fallback.credentials import AUDIENCE_VARIABLE, make_credentials
from coldpress_runtime.fallback.endpoints import make_asking
from coldpress_runtime.fallback.settings import Endpoint


def endpoint(**changes):
    plain = {"kind": "http", "url": "", "name": "", "region": "", "auth": "none", "audience": "", "output": ""}
    return Endpoint.read(plain | {"allow_private": False} | changes, "endpoint")


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("https://abc.lambda-url.eu-west-1.on.aws/", "lambda"),
        ("https://abc.execute-api.eu-west-1.amazonaws.com/live", "execute-api"),
    ],
)
def test_what_is_signed_is_signed_for_the_service_that_answers(url, service):
    asking = make_asking(endpoint(auth="aws"), {"COLDPRESS_FALLBACK_URL": url})
    assert asking.origin.service == service


def test_whom_a_token_is_for_may_come_from_the_environment():
    environ = {AUDIENCE_VARIABLE: "api://the-app"}
    assert make_credentials(endpoint(auth="azure"), environ, "https://x")._scope == "api://the-app/.default"
    named = make_credentials(endpoint(auth="azure", audience="api://mine"), environ, "https://x")
    assert named._scope == "api://mine/.default"
    assert make_credentials(endpoint(auth="azure"), {}, "https://x")._scope == "https://x/.default"


def test_a_dedicated_endpoint_of_vertex_is_asked_at_its_own_address():
    url = "https://e.europe-west1-1.prediction.vertexai.goog/v1/projects/p/locations/europe-west1/endpoints/e"
    asking = make_asking(endpoint(kind="vertex"), {"COLDPRESS_FALLBACK_URL": url})
    assert asking.origin.host == "e.europe-west1-1.prediction.vertexai.goog"
    assert asking._path == "/v1/projects/p/locations/europe-west1/endpoints/e:rawPredict"
