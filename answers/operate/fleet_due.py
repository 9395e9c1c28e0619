"""Finds what is due and not done: what each DAG of the fleet should have published for a day, compared with what is there.

Airflow does not tell: a paused DAG is given no event, a full one some of them, and a run that was deleted leaves no trace. So
the warehouse is asked what is published, and Airflow which days were landed and which dates have a run.

- *done*: it is there, and what its upstream gives now.
- *due*: its upstream is done, and it is missing or differs. A DAG whose run of the date is needed by the sensor of another
  one that is due, and is gone or failed, is due as well.
- *later*: a DAG that it waits for is due first.
- *not begun*: nothing of the day was ever landed. Only a person knows whether it is wanted; `begin` makes it due.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from include.fleet.model import Fleet, Member
from include.fleet.totals import CURRENT, INCONSISTENT, MISSING, compare_totals, flights_published
from include.flights.landed import KEEP_RUNS

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DONE, DUE, LATER, NOT_BEGUN = "done", "due", "later", "not begun"


@dataclass(frozen=True)
class Landed:
    """A carrier's day that was landed: when the event of it came, and of how many flights it tells."""

    at: datetime
    flights: int


@dataclass(frozen=True)
class Published:
    """Holds what the warehouse has for some days."""

    flights: Mapping[tuple[str, date], int]
    """(carrier, day) -> flights in its partition; INCONSISTENT where its two tables disagree"""
    totals: Mapping[str, Mapping[date, str]]
    """DAG -> day -> CURRENT, DIFFERS or MISSING; a day that is in neither has no flights"""


@dataclass(frozen=True)
class Known:
    """Holds what Airflow knows of some days."""

    landed: Mapping[tuple[str, date], Landed]
    """(carrier, day) -> the newest event of a landing"""
    runs: Mapping[tuple[str, date], str]
    """(DAG, day) -> state of the run of that date"""
    ended: Mapping[tuple[str, date], datetime]
    """(DAG, day) -> when that run ended"""
    now: datetime


@dataclass
class Duty:
    """Names what one DAG owes for one day."""

    member: Member
    day: date
    state: str
    why: str = ""
    after: list[str] = field(default_factory=list)
    """The DAGs that have to be done first."""

    @property
    def key(self) -> tuple[str, date]:
        """Return the DAG and the day."""
        return self.member.dag_id, self.day


def read_published(client: Client, fleet: Fleet, members: Iterable[Member], days: list[date]) -> Published:
    """Ask the warehouse what it has of these members' products for days that lie beside each other."""
    first, last = min(days), max(days)
    totals: dict[str, dict[date, str]] = {}
    for member in members:
        for product in fleet.products(member):
            for day, state in compare_totals(client, product, first, last).items():
                worst = totals.setdefault(member.dag_id, {})
                if worst.get(day, CURRENT) == CURRENT:
                    worst[day] = state
    return Published(flights_published(client, first, last), totals)


def judge_duties(
    members: list[Member], days: list[date], published: Published, known: Known, begin: bool = False
) -> list[Duty]:
    """Judge each member and day, day by day, upstream ones first.

    :param members: with all that they wait for, upstream ones first
    :param begin: days of which nothing was landed are due, too
    """
    found: list[Duty] = []
    for day in days:
        duties: dict[str, Duty] = {}
        for member in members:
            duties[member.dag_id] = _judge_duty(member, day, duties, published, known, begin)
        _send_upstream_again(duties, known)
        found += duties.values()
    return found


def _judge_duty(
    member: Member, day: date, duties: Mapping[str, Duty], published: Published, known: Known, begin: bool
) -> Duty:
    if member.layer == "ingest":
        return _judge_ingest(member, day, published, known, begin)
    if after := [dag_id for dag_id in member.waits_for if duties[dag_id].state != DONE]:
        begun = all(duties[dag_id].state in (DUE, LATER) for dag_id in after)
        return Duty(member, day, LATER if begun else NOT_BEGUN, f"waits for {', '.join(after)}", after)
    if member.layer == "transform":
        return _judge_transform(member, day, published, known)
    state = published.totals.get(member.dag_id, {}).get(day, CURRENT)
    if state == CURRENT:
        return Duty(member, day, DONE)
    return Duty(member, day, DUE, "not published" if state == MISSING else "not what its upstream gives now")


def _judge_ingest(member: Member, day: date, published: Published, known: Known, begin: bool) -> Duty:
    if (member.key, day) in known.landed or (member.key, day) in published.flights:
        return Duty(member, day, DONE)
    if state := known.runs.get((member.dag_id, day)):
        return Duty(member, day, DUE, f"not landed; its run is {state}")
    return Duty(member, day, DUE if begin else NOT_BEGUN, "not landed")


def _judge_transform(member: Member, day: date, published: Published, known: Known) -> Duty:
    landed, run = known.landed.get((member.key, day)), (member.dag_id, day)
    flights = published.flights.get((member.key, day), 0)
    if flights == INCONSISTENT:
        return Duty(member, day, DUE, "one of its two tables was published")
    if landed is None:  # Airflow's history was purged: what is published must have been landed
        return Duty(member, day, DONE)
    if flights != landed.flights:
        return Duty(member, day, DUE, f"{landed.flights} flights were landed, {flights} are published")
    if state := known.runs.get(run):
        if state != "success":
            return Duty(member, day, DUE, f"its run is {state}")
        if known.ended.get(run, known.now) < landed.at:
            return Duty(member, day, DUE, "landed again since it was published")
    return Duty(member, day, DONE)


def _send_upstream_again(duties: dict[str, Duty], known: Known) -> None:
    """Make due what a DAG that will run cannot do without: the run that its sensor looks for, and the files that it reads."""
    for duty in reversed(duties.values()):
        if duty.state in (DUE, LATER) and duty.member.dated:
            for upstream in (duties[dag_id] for dag_id in duty.member.waits_for):
                if upstream.state == DONE and (why := _cannot_be_used(upstream, duty, known)):
                    upstream.state, upstream.why = DUE, why
    for duty in duties.values():
        again = [dag_id for dag_id in duty.member.waits_for if duties[dag_id].state != DONE]
        if duty.state == DUE and again:
            duty.state, duty.after = LATER, again


def _cannot_be_used(upstream: Duty, duty: Duty, known: Known) -> str:
    if (state := known.runs.get(upstream.key)) != "success":
        return f"its run is {state or 'gone'}, and the sensor of {duty.member.dag_id} looks for it"
    if duty.member.layer == "transform" and _files_are_removed(known, duty.member.key, duty.day):
        return "the files that it landed are removed by now"
    return ""


def _files_are_removed(known: Known, carrier: str, day: date) -> bool:
    landed = known.landed.get((carrier, day))
    return landed is None or landed.at < known.now - KEEP_RUNS
