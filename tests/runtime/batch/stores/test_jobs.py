"""Jobs on every store: processes die, sleep in the middle of a call, and wake up; each row is there once."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldpress_runtime.batch.job import run_job
from coldpress_runtime.batch.stores.local import LocalStore
from tests.support.batch import accounted, haunt, job, numbers

CONTENT = numbers(1200, bad_every=10)
FATES = ["dies", "sleeps", "stops", "clears"]

pytestmark = pytest.mark.xdist_group("stores")  # which share the servers


@pytest.fixture(params=["local", "s3", "gcs", "blob"])
def store(request, tmp_path):
    if request.param == "local":
        made = LocalStore(str(tmp_path / "folder"))
    else:
        made = request.getfixturevalue(f"{request.param}_store")
    made.part_bytes = 5000
    made.put("in/numbers.txt", CONTENT)
    return made


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.sampled_from(FATES)), min_size=2, max_size=4))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_processes_may_come_and_go_as_they_please(store, plan):
    haunt(job(store), plan)
    run_job(job(store), lease_s=0.0)
    accounted(job(store), CONTENT)
    for item in list(store.list("out/")):
        store.delete(item.key)
