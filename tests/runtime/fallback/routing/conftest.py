"""An endpoint of the larger model, and services of the small one beside it."""

import http.client
import json

import pytest

from coldpress_runtime.service import Service
from tests.support.endpoint import fallback, large, serve_endpoint, small
from tests.support.tiny import write_bundle

WARMUP = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 3]}], "data": None}


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """The endpoint, for all tests of this process."""
    with serve_endpoint(tmp_path_factory.mktemp("endpoint") / "large", large(), warmup=WARMUP) as endpoint:
        yield endpoint


@pytest.fixture
def endpoint(running):
    """The endpoint as if nobody had asked it yet."""
    running.asked.clear()
    running.fault = None
    yield running
    if running.fault is not None and running.fault.waits is not None:
        running.fault.waits.set()
    running.fault = None


@pytest.fixture
def bundle(tmp_path, endpoint):
    """Write bundles of the small model with rules."""
    made = []

    def write(*when, model=None, hooks=None, url=None, **changes):
        made.append(tmp_path / f"function{len(made)}")
        document = fallback(endpoint.url if url is None else url, *when, **changes)
        return write_bundle(made[-1], model or small(), hooks, warmup=WARMUP, fallback=document)

    return write


@pytest.fixture
def routed(bundle):
    """Open services with rules; ``routed("batch > 8", waking="refuse")``."""
    services = []

    def make(*when, **changes):
        services.append(Service.open(str(bundle(*when, **changes))))
        return services[-1]

    yield make
    for service in services:
        service.close()


@pytest.fixture
def remote(tmp_path, endpoint):
    """Open services without a model of their own."""
    services = []

    def make(*when, hooks=None, url=None, **changes):
        root = tmp_path / f"remote{len(services)}"
        document = fallback(endpoint.url if url is None else url, "does-not-fit", *when, **changes)
        write_bundle(root, small(), hooks, fallback=document, engine=None, model=None, warmup=None)
        (root / "lib" / "libonnxruntime.so").unlink()
        (root / "model" / "model.onnx").unlink()
        services.append(Service.open(str(root)))
        return services[-1]

    yield make
    for service in services:
        service.close()


@pytest.fixture
def direct(running):
    """Ask the endpoint itself, as a caller without a function would; returns the body of its answer."""

    def ask(path, body, **headers):
        connection = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=30)
        try:
            names = {name.replace("_", "-"): text for name, text in headers.items()}
            connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), names)
            return connection.getresponse().read()
        finally:
            connection.close()

    return ask
