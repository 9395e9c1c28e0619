"""Computes what a passenger gets for his late and cancelled flights.

The rule. A flight that arrives three hours late or later, or that is cancelled, is compensated: by 250 up to 930
miles, by 400 up to 2,170 miles, by 600 beyond (each limit belongs to the smaller sum). A cancellation is not, where
it was told 14 days before the scheduled departure, or earlier: fourteen times 24 hours, to the second. Nothing is
paid for what weather or the airport has caused. Flights of one passenger that depart on one day in New York earn 600
at most together, the earlier departure first. Until its scheduled departure a flight earns nothing. Instants have a
time zone; one that has none is refused with a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
STEPS = ((930, 250), (2170, 400))  # miles, dollars
FARTHER = 600
MOST_A_DAY = 600
LATE = timedelta(hours=3)
IN_TIME = timedelta(days=14)
EXEMPT = ("weather", "airport")


@dataclass(frozen=True)
class Flight:
    """Describes one flight of a passenger.

    :param departs: as scheduled
    :param late: minutes at arrival; None where it was cancelled
    :param told: when the cancellation was told
    :param cause: "airline", "weather" or "airport"
    """

    departs: datetime
    miles: int
    late: int | None = 0
    told: datetime | None = None
    cause: str = "airline"


def compensation(flights: Sequence[Flight], now: Callable[[], datetime]) -> list[int]:
    """Return dollars for each flight of one passenger, in the order in which the flights are given."""
    for instant in (
        now(),
        *(flight.departs for flight in flights),
        *(flight.told for flight in flights if flight.told),
    ):
        if instant.tzinfo is None:
            raise ValueError(f"{instant} has no time zone")
    left: dict[date, int] = {}
    paid = dict.fromkeys(range(len(flights)), 0)
    for index in sorted(paid, key=lambda each: flights[each].departs):
        flight = flights[index]
        day = flight.departs.astimezone(NEW_YORK).date()
        paid[index] = min(_earned(flight, now()), left.get(day, MOST_A_DAY))
        left[day] = left.get(day, MOST_A_DAY) - paid[index]
    return [paid[index] for index in range(len(flights))]


def _earned(flight: Flight, now: datetime) -> int:
    if now < flight.departs or flight.cause in EXEMPT:
        return 0
    if flight.late is None and flight.told and flight.departs - flight.told >= IN_TIME:
        return 0
    if flight.late is not None and timedelta(minutes=flight.late) < LATE:
        return 0
    return next((dollars for miles, dollars in STEPS if flight.miles <= miles), FARTHER)
