"""Checks events against their schema, and the audit's arithmetic."""

from datetime import UTC, datetime

import pytest

from include.flight_status import broker
from include.flight_status.events import LARGEST_EVENT, BadEvent, parse_event
from support.kafka_broker import event


def test_an_event_is_what_its_schema_says():
    got = parse_event(event())
    assert (got.event_id, got.flight, got.status) == ("e1", "2013-06-13/UA1545/EWR", "departed")
    assert got.at == datetime(2013, 6, 13, 9, 15, tzinfo=UTC)


@pytest.mark.claim("5.5")
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value (a tombstone)"),
        (b"ab\xff", "not UTF-8: byte 0xff at 2"),
        (b"{", "not a flight status: value: Invalid JSON"),
        (event(status="lost"), "status: Input should be 'scheduled', 'boarding'"),
        (event(at="2013-06-13T09:15:00"), "at: Input should have timezone info"),
        (event(flight="UA1545"), "flight: String should match pattern"),
        (event(more=1), "more: Extra inputs are not permitted"),
        (b"x" * (10 << 20), f"too large: 10485760 bytes, an event has at most {LARGEST_EVENT}"),
    ],
    ids=["tombstone", "utf-8", "json", "status", "zone", "flight", "extra", "10 MB"],
)
def test_what_is_no_event_says_why(value, reason):
    with pytest.raises(BadEvent) as caught:
        parse_event(value)
    assert reason in str(caught.value)


def test_a_commit_beyond_the_end_or_before_the_beginning_is_not_believed():
    now = broker.Topic("t", "i", {0: (10, 20), 1: (0, 5), 2: (0, 0), 3: (0, 7)})
    wanted = {(each.partition, each.start, each.stop) for each in broker.slices_to_read(now, {0: 3, 1: 9, 3: 7})}
    assert wanted == {(0, 10, 20), (1, 0, 5)}
