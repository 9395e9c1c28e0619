"""Runs the part of the fleet that `headline` needs, for one real day, and shows each claim (question 4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table

from answers.operate import fleet as fleet_run
from answers.progress import show_fleet
from answers.stack.client import ApiError
from include.fleet.model import load_fleet

if TYPE_CHECKING:
    from answers.demo import Demo

PART = "headline"  # three carriers, half of all flights; the whole fleet is `answers fleet run`


def play_part(demo: Demo) -> None:
    """Run the part of the fleet and print the evidence.

    :raises ApiError: a DAG of it failed
    """
    fleet, day, airflow = load_fleet(), demo.days[-1], demo.airflow
    members = fleet.members_needed(PART)
    demo.out.print(f"{len(members)} of the fleet's {len(fleet.members)} DAGs, for {day} (all: answers fleet run)")
    fleet_run.start_day(airflow, members, day)
    *_, states = show_fleet(fleet, fleet_run.watch_day(airflow, members, day, patience=600))
    if failed := [each.member.dag_id for each in states if each.state != "success"]:
        raise ApiError(f"{', '.join(failed)} failed: see {airflow.link(failed[0])}")
    ids = [each.dag_id for each in members]
    with demo.warehouse() as client:
        query = "SELECT origin, flights, cancelled, round(mean_dep_delay, 1), round(on_time_share, 2) FROM "
        query += f"warehouse.fleet_airports WHERE flight_date = '{day}' AND rollup = '{PART}' ORDER BY origin"
        rows = client.query(query).result_rows
    table = Table("airport", "flights", "cancelled", "mean delay, min", "on time", title=f"{PART}, {day}")
    for row in rows:
        table.add_row(*map(str, row))
    demo.out.print(table)
    _claims(demo, ids, len(fleet.members), sum(row[1] for row in rows))


def _claims(demo: Demo, ids: list[str], all_dags: int, flights: int) -> None:
    airflow = demo.airflow
    tasks = airflow.task_instances_of_dags(ids)
    slots = airflow.pools()["fleet"]["slots"]
    first = min(tasks, key=lambda each: each["start_date"] or "9")
    waits = [each for each in tasks if each["task_id"].startswith("wait_for_")]
    empty = sum(each["task_id"] in ("start", "ready", "done") for each in tasks)
    waited = sum(each["duration"] or 0 for each in waits)
    reports = [each for each in tasks if each["dag_id"].startswith("fleet_report_")]
    seen = {
        "4.1": f"{all_dags} DAGs in Airflow, {len(ids)} of them ran: {flights:,} flights in the headline",
        "4.3": f"{empty} EmptyOperators, none of them with a process",
        "4.4": f"pool fleet: {slots} slots, at most {_most_at_once(each for each in tasks if each['pool'] == 'fleet')} "
        "at once",
        "4.5": f"first of all: {first['dag_id']} {first['task_id']}, weight {first['priority_weight']}; a report weighs "
        f"{reports[0]['priority_weight']}",
        "4.6": f"{len(waits)} sensors waited for the same date, {waited:.0f} s together, in the triggerer",
        "4.7": f"{len({each['dag_id'] for each in reports})} reports were started by events and never waited",
    }
    demo.evidence("q04", seen)


def _most_at_once(tasks: Iterable[dict[str, Any]]) -> int:
    """Count the task instances that ran at the same time, at most, by their start and end."""
    edges: list[tuple[datetime, int]] = []
    for each in tasks:
        if each["start_date"] and each["end_date"]:
            edges += [
                (datetime.fromisoformat(each["start_date"]), 1),
                (datetime.fromisoformat(each["end_date"]), -1),
            ]
    running = most = 0
    for _, change in sorted(edges):
        running += change
        most = max(most, running)
    return most
