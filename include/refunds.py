"""Finds what airlines owe their passengers for a day's flights, and whether it is overdue.

The rule is 14 CFR part 260 of 2024, applied to flights of 2013 as an example: the fare of a domestic flight that is cancelled, or
arrives three hours late or later, is paid back within 20 days. Everything that these functions need comes as an argument,
the clock and the receiver too: a test replaces those, never a function of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.errors import DayMissing, PermanentError
from include.flights.days import ZONE

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Clock = Callable[[], datetime]  # an aware instant
Post = Callable[[str, dict[str, Any]], None]  # (path, body); raises where the receiver has not taken it

LATE_MINUTES = 180  # minutes at arrival
DAYS_TO_PAY = 20
OWED = """
SELECT carrier, countIf(cancelled) AS cancelled, countIf(arr_delay >= {late:Int32}) AS late, count() AS flights
FROM warehouse.flights
WHERE flight_date = {day:Date}
GROUP BY carrier
ORDER BY carrier
"""


class ClockInvalid(PermanentError, ValueError):
    """The clock of a run is no instant with an offset."""


def make_clock(instant: str | None = None) -> Clock:
    """Return the machine's clock, or one that stands still at an instant.

    :param instant: ISO 8601 with an offset, e.g. 2013-07-03T12:00:00-04:00; empty for the machine's clock
    :raises ClockInvalid: no instant, or one without an offset, which is another one on each machine
    """
    if not instant:
        return lambda: datetime.now(UTC)
    try:
        now = datetime.fromisoformat(instant)
    except ValueError as error:
        raise ClockInvalid(str(error)) from error
    if now.tzinfo is None:
        raise ClockInvalid(f"{instant} has no offset from UTC: write {instant}Z, or {instant}-04:00")
    return lambda: now


def owed_refunds(client: Client, day: date) -> list[dict[str, Any]]:
    """Find the airlines with flights whose fare is to be paid back: carrier, cancelled, late (counts), by carrier.

    :param day: local date of the scheduled departure
    :raises DayMissing: question 1 has not published the day
    """
    rows: list[dict[str, Any]] = []
    if client.command("EXISTS TABLE warehouse.flights"):
        answer = client.query(OWED, parameters={"day": day, "late": LATE_MINUTES})
        rows = [dict(zip(answer.column_names, row, strict=True)) for row in answer.result_rows]
    if not rows:
        raise DayMissing(f"no flights of {day}: publish the day (answers run q01 --date {day}), then clear this task")
    return [
        {key: row[key] for key in ("carrier", "cancelled", "late")} for row in rows if row["cancelled"] + row["late"]
    ]


def make_notices(rows: list[dict[str, Any]], day: date, now: Clock) -> list[dict[str, Any]]:
    """Make one notice per airline: what `owed_refunds` found, with `id`, `day`, `pay_by` and `days_left` (below 0: overdue).

    The last day to pay ends at midnight in New York, wherever this runs.
    """
    pay_by = day + timedelta(days=DAYS_TO_PAY)
    days_left = (pay_by - now().astimezone(ZONE).date()).days
    return [
        {**row, "id": f"{day}-{row['carrier']}", "day": str(day), "pay_by": str(pay_by), "days_left": days_left}
        for row in rows
    ]


def send_notices(found: list[dict[str, Any]], post: Post) -> dict[str, int]:
    """Post every notice to /refunds. One that is refused does not keep the others back; a retry posts all again.

    :returns: {"notices", "flights", "overdue": notices}
    :raises ConnectionError: naming the airlines whose notice was not taken
    """
    refused = []
    for notice in found:
        try:
            post("/refunds", notice)
        except OSError as error:
            refused.append(f"{notice['carrier']} ({error})")
    if refused:
        raise ConnectionError(f"{len(refused)} of {len(found)} notices were not taken: {', '.join(refused)}")
    flights = sum(notice["cancelled"] + notice["late"] for notice in found)
    return {"notices": len(found), "flights": flights, "overdue": sum(each["days_left"] < 0 for each in found)}
