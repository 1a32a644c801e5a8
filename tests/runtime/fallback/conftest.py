import pytest

from coldpress_runtime.fallback.door import Door
from tests.support.fault_proxy import FaultProxy
from tests.support.tiny_endpoint import TinyEndpoint, settings


@pytest.fixture(scope="session")
def endpoint():
    with TinyEndpoint() as running:
        yield running


@pytest.fixture
def proxy(endpoint):
    with FaultProxy(endpoint.address) as running:
        yield running


@pytest.fixture
def make_door(proxy):
    """A door to the endpoint behind the proxy, closed at the end."""
    doors = []

    def make(environ=None, **changes):
        place = {"url": proxy.url} | changes.pop("endpoint", {})
        door = Door(settings(endpoint=place, **changes), environ if environ is not None else {})
        doors.append(door)
        return door

    yield make
    for door in doors:
        door.close()
