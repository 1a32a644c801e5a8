"""Messages of the queue that Azure's function listens to."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.event_grid import Arrival, arrival_of
from coldpress_runtime.errors import InputError

SERVICE = "https://up0abc.blob.core.windows.net/"
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def created(url, kind="Microsoft.Storage.BlobCreated"):
    return json.dumps({"eventType": kind, "subject": "/blobServices/...", "data": {"url": url}}).encode()


@given(keys)
def test_a_blob_has_the_name_that_its_address_spells(key):
    event = created(f"{SERVICE}data/{quote(key)}")
    assert arrival_of(event, SERVICE, "data") == Arrival(key)
    assert arrival_of(event, SERVICE.rstrip("/"), "data") == Arrival(key)


def test_an_address_with_a_path_of_its_own_is_looked_through():
    event = created("http://127.0.0.1:10000/devstoreaccount1/data/a%20b")
    assert arrival_of(event, "http://127.0.0.1:10000/devstoreaccount1", "data") == Arrival("a b")


def test_files_that_data_lake_clients_have_written_are_blobs_too():
    assert arrival_of(created("https://up0abc.dfs.core.windows.net/data/a/b"), SERVICE, "data") == Arrival("a/b")


@pytest.mark.parametrize(
    "event",
    [
        created(f"{SERVICE}other/a"),
        created(f"{SERVICE}data2/a"),
        created(f"{SERVICE}data/a", "Microsoft.Storage.BlobDeleted"),
    ],
    ids=["another container", "one that begins alike", "another event"],
)
def test_other_news_are_passed_over(event):
    assert arrival_of(event, SERVICE, "data") is None


@given(st.builds(Arrival, keys, st.integers(0), st.integers(0)))
def test_the_function_reads_what_it_has_written(arrival):
    assert arrival_of(arrival.to_message().encode(), SERVICE, "data") == arrival


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"3",
        b"{}",
        b'{"coldpress": {"k": 1}}',
        b'{"coldpress": 1}',
        created(5),
        created(None),
    ],
)
def test_what_is_no_event_is_said(message):
    with pytest.raises(InputError, match=r"^The queue holds .*, which is no event of Event Grid's; let nobody else"):
        arrival_of(message, SERVICE, "data")
