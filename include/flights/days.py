"""Tells the local days of New York: when one begins, which one an instant is in, which ones an interval consists of."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from include.errors import PermanentError

ZONE = ZoneInfo("America/New_York")


class IntervalInvalid(PermanentError, ValueError):
    """The data interval does not consist of whole local days."""


def midnight(day: date) -> datetime:
    """Return the instant at which a local day begins in New York."""
    return datetime.combine(day, datetime.min.time(), ZONE)


def local_day(instant: datetime) -> str:
    """Return the date in New York at an instant, YYYY-MM-DD. A macro: Airflow's own `ds` is the date in UTC."""
    return str(instant.astimezone(ZONE).date())


def local_days(start: datetime, end: datetime) -> list[date]:
    """Return the local dates (America/New_York) that the data interval [start, end) consists of.

    :raises IntervalInvalid: when the interval is empty or does not begin and end at local midnight, since a run replaces
        whole daily partitions
    """
    first, last = start.astimezone(ZONE), end.astimezone(ZONE)
    if start >= end:
        raise IntervalInvalid(
            f"the data interval [{start}, {end}) is empty: schedule the DAG with CronDataIntervalTimetable (a bare "
            "cron string has no interval in Airflow 3), or give data_interval_start and data_interval_end"
        )
    for edge in (first, last):
        if (edge.hour, edge.minute, edge.second, edge.microsecond) != (0, 0, 0, 0):
            raise IntervalInvalid(f"the data interval [{start}, {end}) does not consist of whole days in {ZONE.key}")
    return [first.date() + timedelta(days=n) for n in range((last.date() - first.date()).days)]
