"""Tells what travels with asset events."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from plugins.events import days_of_events, latest_of_day


def event(day, hour=0, **more):
    return SimpleNamespace(extra={"first_day": day, **more}, timestamp=datetime(2026, 1, 1, hour, tzinfo=UTC))


@pytest.mark.claim("4.7")
def test_the_trap_events_coalesce_all_days_of_all_events_count():
    started = {"UA": [event("2013-06-14"), event("2013-06-13"), event("2013-06-14", 1)], "DL": [event("2013-06-15")]}
    assert days_of_events(started) == [date(2013, 6, 13), date(2013, 6, 14), date(2013, 6, 15)]


def test_the_newest_event_about_a_day_is_the_one_that_counts():
    events = [event("2013-06-13", 1, folder="a"), event("2013-06-13", 3, folder="b"), event("2013-06-14", 4)]
    events.append(SimpleNamespace(extra=None, timestamp=datetime(2026, 1, 1, 5, tzinfo=UTC)))
    assert latest_of_day(events, date(2013, 6, 13))["folder"] == "b"
    with pytest.raises(LookupError, match="no event about 2013-06-15"):
        latest_of_day(events, date(2013, 6, 15))
