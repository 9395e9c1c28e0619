"""Repairs days of the fleet: finds what is due and not done, runs it upstream first, and looks again until all was tried.

Each DAG gets a run of the date, as `answers fleet run` would start it, whether a schedule or an event starts it otherwise: an
event would go to every consumer, and a paused one is given none. The run's id is made of the day, so that a repair which was
killed is finished by the same command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from answers.operate.fleet import LOOK_SECONDS, require_known, runs_of_days, runs_under_way
from answers.operate.fleet_due import DONE, DUE, LATER, NOT_BEGUN, Duty, Known, Landed, Published, judge_duties
from answers.stack.client import FINAL, Airflow, ApiError, run_of
from include.fleet.model import Fleet, Member
from include.waiting import Deadline, poll

REPAIRED, FAILED, PAUSED, WAITING = "repaired", "failed", "paused", "waiting"
LANDED = "fleet.landed."  # begins the names of the assets that ingest leaves
Key = tuple[str, date]


@dataclass
class Repair:
    """One DAG's day that was due. `state`: Airflow's of its run, and at the end REPAIRED, FAILED, PAUSED, WAITING or DUE."""

    dag_id: str
    day: date
    why: str
    state: str
    run_id: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the repair as JSON."""
        return asdict(self) | {"day": str(self.day)}


@dataclass(frozen=True)
class Request:
    """Names what to repair.

    :param members: with all that they wait for, upstream ones first
    :param begin: days of which nothing was landed as well
    :param unpause: resume paused DAGs that have something due; they are left alone and told otherwise
    :param patience: seconds for all of it, or their end
    """

    fleet: Fleet
    members: list[Member]
    days: list[date]
    begin: bool = False
    unpause: bool = False
    patience: float | Deadline = 1800


class Repairer:
    """Finds and repairs, with one Airflow and one warehouse.

    :param look: asks the warehouse
    """

    def __init__(self, airflow: Airflow, look: Callable[[], Published], request: Request) -> None:
        self._airflow, self._look, self._asked = airflow, look, request
        self._deadline = Deadline.of(request.patience)
        self._repairs: dict[Key, Repair] = {}
        self._tried: set[Key] = set()
        self._paused: set[str] = set()
        self.not_begun = 0
        """Days of carriers of which nothing was landed."""

    def find(self) -> list[Repair]:
        """Find what is due, and change nothing.

        :raises ApiError: Airflow does not know a DAG, or does not answer
        """
        self._find_duties()
        return self._list_repairs()

    def repair(self) -> Iterator[list[Repair]]:
        """Repair, and tell the state of everything that is or was due, again and again until nothing is left to try.

        :raises ApiError: runs have not ended in time; they go on, and the same command goes on with them
        """
        while True:
            duties = self._find_duties()
            if self._asked.unpause:
                self._resume()
            yield self._list_repairs()
            ready = [each for each in duties if self._can_run(each)]
            if not ready:
                return
            if busy := self._under_way_by_event(ready):  # an event has come: it may be what is missing
                yield from self._await(self._none_under_way, busy)
            else:
                for duty in ready:
                    self._start(duty)
                yield from self._await(self._all_ended, ready)

    def _resume(self) -> None:
        """Resume the paused DAGs that have something due."""
        for repair in self._repairs.values():
            if repair.state == PAUSED:
                self._airflow.unpause(repair.dag_id)
                repair.state = DUE
        self._paused -= {dag_id for dag_id, _ in self._repairs}

    def _can_run(self, duty: Duty) -> bool:
        return duty.state == DUE and duty.key not in self._tried and duty.member.dag_id not in self._paused

    def _find_duties(self) -> list[Duty]:
        """Look at everything, and put down what is due."""
        members, days = self._asked.members, self._asked.days
        dags = require_known(self._airflow, members)
        self._paused = {each.dag_id for each in members if dags[each.dag_id]["is_paused"]}
        duties = judge_duties(members, days, self._look(), read_known(self._airflow, members, days), self._asked.begin)
        self.not_begun = sum(each.state == NOT_BEGUN for each in duties if each.member.layer == "ingest")
        for duty in duties:
            repair = self._repairs.get(duty.key)
            if repair is None and duty.state in (DUE, LATER):
                repair = self._repairs[duty.key] = Repair(*duty.key, duty.why, DUE)
            if repair is not None:
                self._update_repair(repair, duty)
        return duties

    def _update_repair(self, repair: Repair, duty: Duty) -> None:
        if duty.state == DONE:
            repair.state = REPAIRED
        elif repair.dag_id in self._paused:
            repair.state = PAUSED
        elif duty.key in self._tried:
            repair.why = f"{duty.why}; its run is {repair.state}" if repair.state in FINAL else repair.why
            repair.state = FAILED
        elif duty.state == DUE:
            repair.state = DUE
        else:
            repair.state, repair.why = WAITING, f"waits for {', '.join(duty.after)}"

    def _list_repairs(self) -> list[Repair]:
        return list(self._repairs.values())

    def _start(self, duty: Duty) -> None:
        """Start the day's run, run it again where it has ended, join it where it goes on."""
        self._tried.add(duty.key)
        dag_id, day = duty.key
        existing = runs_of_days(self._airflow, [duty.member], [day]).get(duty.key)
        if existing is None:
            self._airflow.trigger_day(dag_id, day)
            self._repairs[duty.key].run_id = run_of(day)["dag_run_id"]
            return
        self._repairs[duty.key].run_id = existing["dag_run_id"]
        if existing["state"] in FINAL:
            self._airflow.clear(dag_id, existing["dag_run_id"])

    def _all_ended(self, duties: list[Duty]) -> bool:
        runs = runs_of_days(self._airflow, [each.member for each in duties], self._asked.days)
        for duty in duties:
            self._repairs[duty.key].state = runs[duty.key]["state"] if duty.key in runs else "gone"
        return all(self._repairs[each.key].state not in ("queued", "running") for each in duties)

    def _none_under_way(self, duties: list[Duty]) -> bool:
        return not self._under_way_by_event(duties)

    def _under_way_by_event(self, duties: list[Duty]) -> list[Duty]:
        """Return those whose DAG has an event, or a run that an event has started, under way."""
        by_event = {each.member.dag_id: each.member for each in duties if not each.member.dated}
        started = runs_under_way(self._airflow, list(by_event.values()))
        found = []
        for dag_id in by_event:
            if self._airflow.queued_events(dag_id) or any(
                run["run_type"] == "asset_triggered" for run in started.get(dag_id, ())
            ):
                found.append(dag_id)
        return [each for each in duties if each.member.dag_id in found]

    def _await(self, ready: Callable[[list[Duty]], bool], duties: list[Duty]) -> Iterator[list[Repair]]:
        for _ in poll(self._deadline, LOOK_SECONDS):
            if ready(duties):
                yield self._list_repairs()
                return
            yield self._list_repairs()
        names = ", ".join(sorted({each.member.dag_id for each in duties}))
        raise ApiError(
            f"not finished after {self._deadline.seconds:.0f} s: {names} (they go on; the same command joins them)"
        )


def read_known(airflow: Airflow, members: list[Member], days: list[date]) -> Known:
    """Ask Airflow what it knows of some days: the newest events of landings, and the runs of the dates.

    The events of publications are not asked for: while a run that one has started is queued, Airflow 3.3.2 answers 500.
    """
    runs = runs_of_days(airflow, members, days)
    states = {key: run["state"] for key, run in runs.items()}
    ended = {key: datetime.fromisoformat(run["end_date"]) for key, run in runs.items() if run["end_date"]}
    carriers = {each.key for each in members if each.layer == "ingest"}
    return Known(_read_landed(airflow, carriers), states, ended, datetime.now(UTC))


def _read_landed(airflow: Airflow, carriers: set[str]) -> dict[tuple[str, date], Landed]:
    found: dict[tuple[str, date], Landed] = {}
    for event in airflow.asset_events(name_prefix_pattern=LANDED):
        carrier, extra = event["name"].removeprefix(LANDED), event["extra"] or {}
        if carrier in carriers and "rows" in extra:
            at = datetime.fromisoformat(event["timestamp"])
            found[carrier, date.fromisoformat(extra["first_day"])] = Landed(at, extra["rows"])
    return found
