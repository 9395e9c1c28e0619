"""Runs a day of the fleet through Airflow's REST API and follows it: two requests a look, however many DAGs there are.

What has a date is started here, as its schedule would; what waits for an event starts by itself. A run that an event
started has no logical date, so it is recognised by the event that it consumed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from answers.stack.client import FINAL, Airflow, ApiError, run_of
from include.fleet.model import Member
from include.flights.days import midnight
from include.waiting import Deadline, poll

LOOK_SECONDS = 0.5  # seconds between two looks
NO_EVENT = "no event"  # what it would have started from failed


@dataclass(frozen=True)
class State:
    """A member's run of the day. `state` is Airflow's, or `none` (not yet), or `no event`; `seconds` once it has ended."""

    member: Member
    state: str
    run_id: str | None = None
    seconds: float | None = None
    ended: str | None = None

    @property
    def done(self) -> bool:
        """Tell whether nothing more will happen."""
        return self.state in (*FINAL, NO_EVENT)


def _runs(airflow: Airflow, members: list[Member], **where: Any) -> dict[str, list[dict[str, Any]]]:
    """List the runs of these DAGs by DAG, the newest one first."""
    by_dag: dict[str, list[dict[str, Any]]] = {each.dag_id: [] for each in members}
    for run in airflow.runs_of_dags(list(by_dag), **where) if members else ():
        by_dag[run["dag_id"]].append(run)
    return by_dag


def runs_of_days(airflow: Airflow, members: list[Member], days: list[date]) -> dict[tuple[str, date], dict[str, Any]]:
    """Find the runs of these dates: (DAG, day) -> run."""
    instants = {midnight(day): day for day in days}
    first, last = (edge.isoformat() for edge in (min(instants), max(instants)))
    runs = _runs(airflow, members, logical_date_gte=first, logical_date_lte=last)
    dated = ((run, instants.get(datetime.fromisoformat(run["logical_date"]))) for of in runs.values() for run in of)
    return {(run["dag_id"], day): run for run, day in dated if day}


def runs_under_way(airflow: Airflow, members: list[Member]) -> dict[str, list[dict[str, Any]]]:
    """Find the runs of these DAGs that are queued or running, by DAG."""
    return _runs(airflow, members, states=["queued", "running"])


def _runs_of_day(airflow: Airflow, members: list[Member], day: date) -> dict[str, dict[str, Any]]:
    runs = runs_of_days(airflow, [each for each in members if each.dated], [day])
    return {dag_id: run for (dag_id, _), run in runs.items()}


def require_known(airflow: Airflow, members: list[Member]) -> dict[str, dict[str, Any]]:
    """Find these DAGs in Airflow: DAG -> what its API says of it.

    :raises ApiError: Airflow does not know one
    """
    known = {each["dag_id"]: each for each in airflow.dags()}
    if missing := [each.dag_id for each in members if each.dag_id not in known]:
        raise ApiError(f"Airflow does not know {', '.join(missing)}: is its ANSWERS_FLEET another file?")
    return known


def start_day(airflow: Airflow, members: list[Member], day: date) -> bool:
    """Start the day of these DAGs, upstream ones first, so that no sensor sees the success of an earlier time.

    A day that has ended runs again. One that is under way is joined: only what it lacks is started.

    :returns: whether it was under way
    :raises ApiError: Airflow does not know a DAG, or refuses
    """
    airflow.find_dag(members[-1].dag_id)
    require_known(airflow, members)
    airflow.unpause_all("fleet_")
    existing = _runs_of_day(airflow, members, day)
    under_way = any(run["state"] not in FINAL for run in existing.values())
    for member in members:
        if not member.dated:
            continue
        if run := existing.get(member.dag_id):
            if not under_way:
                airflow.clear(member.dag_id, run["dag_run_id"])
            continue
        if not airflow.trigger_day(member.dag_id, day):
            raise ApiError(f"{member.dag_id} has another run called {run_of(day)['dag_run_id']}: delete it in the UI")
    return under_way


def watch_day(airflow: Airflow, members: list[Member], day: date, patience: float | Deadline) -> Iterator[list[State]]:
    """Yield the members' states, again and again until all have ended.

    :raises ApiError: they have not after `patience` seconds (include/waiting.py)
    """
    consumed: dict[str, list[dict[str, Any]]] = {}
    deadline = Deadline.of(patience)
    for _ in poll(deadline, LOOK_SECONDS):
        states = _look_at_runs(airflow, members, day, consumed)
        yield states
        if all(each.done for each in states):
            return
    waiting = ", ".join(each.member.dag_id for each in states if not each.done)
    raise ApiError(f"not finished after {deadline.seconds:.0f} s: {waiting} (they go on; watch them in the UI)")


def _look_at_runs(
    airflow: Airflow, members: list[Member], day: date, consumed: dict[str, list[dict[str, Any]]]
) -> list[State]:
    dated = _runs_of_day(airflow, members, day)
    begun = min((run["queued_at"] for run in dated.values()), default=None)
    undated = [each for each in members if not each.dated]
    # An event's run is `after` the event, which is after the first run of the day was queued.
    by_event = _runs(airflow, undated, run_after_gte=begun) if begun else {}
    found = []
    for member in members:
        if member.dated:
            found.append(_state(member, dated.get(member.dag_id)))
            continue
        source = dated.get(member.waits_for[0])
        mine = (
            run
            for run in by_event.get(member.dag_id, ())
            if source and _started_by_event_of(airflow, run, source, consumed)
        )
        run = next(mine, None)
        hopeless = source is not None and source["state"] == "failed" and not by_event.get(member.dag_id)
        found.append(State(member, NO_EVENT) if run is None and hopeless else _state(member, run))
    return found


def _started_by_event_of(
    airflow: Airflow, run: dict[str, Any], source: dict[str, Any], consumed: dict[str, list[dict[str, Any]]]
) -> bool:
    """Tell whether the run was started, perhaps among others, by an event of the run `source`."""
    if run["start_date"] is None:  # Airflow 3.3.2 answers 500 to the question for a run that has not begun
        return False
    if run["dag_run_id"] not in consumed:
        consumed[run["dag_run_id"]] = airflow.events_that_started(run["dag_id"], run["dag_run_id"])
    return any(
        (event["source_dag_id"], event["source_run_id"]) == (source["dag_id"], source["dag_run_id"])
        and event["timestamp"] >= (source["start_date"] or "9")
        for event in consumed[run["dag_run_id"]]
    )


def _state(member: Member, run: dict[str, Any] | None) -> State:
    if run is None:
        return State(member, "none")
    return State(member, run["state"], run["dag_run_id"], run["duration"], run["end_date"])


def failed_tasks(airflow: Airflow, states: list[State]) -> list[dict[str, Any]]:
    """Return the task instances that failed themselves, the first one first: it is the cause where others waited for it."""
    runs = {(each.member.dag_id, each.run_id) for each in states if each.state == "failed"}
    if not runs:
        return []
    failed = airflow.task_instances_of_dags(sorted({dag_id for dag_id, _ in runs}), state=["failed"])
    mine = [each for each in failed if (each["dag_id"], each["dag_run_id"]) in runs]
    return sorted(mine, key=lambda each: each["end_date"] or "")
