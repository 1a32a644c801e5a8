"""What messages say of objects, as S3, EventBridge and the job itself write them."""

import json
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldpress_runtime.batch.s3_events import Arrival, arrivals
from coldpress_runtime.errors import InputError

KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1)


def record(key, name="ObjectCreated:Put", **item):
    """One record as S3 writes it: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html."""
    written = {"key": quote_plus(key, safe="/"), "size": 1024, "eTag": "e1", "sequencer": "0A1B"} | item
    s3 = {"s3SchemaVersion": "1.0", "configurationId": "c", "bucket": {"name": "b", "arn": "arn:aws:s3:::b"}}
    return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": name, "s3": s3 | {"object": written}}


def notification(*records):
    return json.dumps({"Records": records})


def eventbridge(key, kind="Object Created"):
    """One event as EventBridge brings it: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""
    item = {"key": key, "size": 1024, "etag": "e1", "version-id": "v", "sequencer": "0A1B"}
    detail = {"version": "0", "bucket": {"name": "b"}, "object": item, "reason": "PutObject"}
    return json.dumps({"version": "0", "source": "aws.s3", "detail-type": kind, "detail": detail})


@given(KEYS)
def test_both_senders_tell_of_the_same_object(key):
    assert arrivals(notification(record(key))) == arrivals(eventbridge(key)) == [Arrival("b", key, "e1", "0A1B")]


@pytest.mark.parametrize(
    ("written", "key"), [("a+b", "a b"), ("a%2Bb", "a+b"), ("100%25", "100%"), ("%E2%98%83/x", "☃/x"), ("a%20b", "a b")]
)
def test_keys_are_written_as_in_forms(written, key):
    told = record("x")
    told["s3"]["object"]["key"] = written
    assert [found.key for found in arrivals(notification(told))] == [key]


def test_a_message_may_tell_of_several_objects():
    told = arrivals(notification(record("one"), record("two", "ObjectCreated:CompleteMultipartUpload")))
    assert [found.key for found in told] == ["one", "two"]


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}),
        notification(record("x", "ObjectRemoved:Delete")),
        notification(record("x", "ObjectRemoved:DeleteMarkerCreated")),
        notification(record("x", "ObjectTagging:Put")),
        eventbridge("x", "Object Deleted"),
        notification(),
    ],
)
def test_other_events_of_s3_tell_of_none(message):
    assert arrivals(message) == []


@given(KEYS, st.integers(0), st.integers(0), st.integers(0))
def test_what_is_left_of_a_job_comes_back_as_it_was_sent(key, turn, row, idle):
    arrival = Arrival("b", key, "e1", "0A1B", turn, row, idle)
    assert arrivals(arrival.to_message()) == [arrival]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"Records": [{}]}',
        '{"Records": 1}',
        '{"coldpress": {}}',
        '{"source": "aws.s3"}',
    ],
)
def test_what_is_no_event_is_refused_in_one_sentence(message):
    with pytest.raises(InputError, match="no event of S3"):
        arrivals(message)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)
    )
)
def test_whatever_json_comes_is_read_or_refused(document):
    try:
        found = arrivals(json.dumps(document))
    except InputError:
        return
    assert found == []
