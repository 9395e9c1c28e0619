"""Question 7's kills: a day of the fleet on the compose stack while something of it dies, and the table of docs/q07.md."""

from __future__ import annotations

import subprocess
import time
from datetime import date
from typing import Any

from answers.operate.fleet import start_day, watch_day
from answers.stack.client import ApiError
from include.fleet.model import load_fleet
from support import expected, fleet, wait_for

KILLS = {
    "worker": (
        "a worker, SIGKILL in the middle of a task",
        "the task's heartbeat is missed; a retry on another worker",
    ),
    "redis": ("Redis, SIGKILL", "the scheduler and the workers wait for it; what was queued is in its file"),
    "flush": (
        "every message in Redis, by FLUSHALL",
        "what stays queued for too long is queued again; no try is used up",
    ),
    "postgres": ("PostgreSQL, SIGKILL", "scheduler and API server come back; tasks repeat their calls"),
    "api_server": (
        "the API server, SIGKILL; started when a call had failed ten times",
        "tasks repeat their calls; one that is silent beyond its heartbeat's limit is tried again",
    ),
    "scheduler": ("the scheduler, SIGKILL", "tasks end without it; its successor adopts what is queued"),
    "worker_on_rabbitmq": ("a worker on RabbitMQ, SIGKILL in the middle of a task", "as on Redis"),
}
FLEET = load_fleet()
MEMBERS = FLEET.members_needed("headline")
CARRIERS = FLEET.carriers_of("headline")
DATED = [each.dag_id for each in MEMBERS if each.dated]
WORK = {"land", "transform", "publish", "by_airport", "by_hour"}


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Return what was recorded of each kill, as Markdown."""
    heads = ["what dies", "tried again", "queued again", "flights missing", "doubled", "seconds", "what brings it back"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, (title, remedy) in KILLS.items():
        cells = [rows[name][key] for key in ("retried", "requeued", "missing", "doubled", "seconds")]
        lines.append(f"| {' | '.join(map(str, (title, *cells, remedy)))} |")
    return "\n".join(lines) + "\n"


def docker(*arguments: str) -> None:
    """A command of the engine for a single container, which compose has only for all of a service."""
    subprocess.run(["docker", *arguments], check=True, capture_output=True)


class Day:
    """A day of the fleet's part `headline`: 10 DAGs, three carriers, sensors, events and a roll-up."""

    def __init__(self, stack, day: str) -> None:
        self.stack, self.day, self.began = stack, day, 0.0

    def start(self) -> None:
        self.began = time.monotonic()
        start_day(self.stack.airflow, MEMBERS, date.fromisoformat(self.day))

    def instances(self, *states: str) -> list[dict]:
        """The day's task instances, of DAGs that have a date, in these states or in any."""
        body: dict[str, Any] = {"dag_ids": DATED, "dag_run_ids": [f"answers__{self.day}"], "page_limit": 100}
        if states:
            body["state"] = list(states)
        answer = self.stack.airflow.request("POST", "/dags/~/dagRuns/~/taskInstances/list", json=body).json()
        assert answer["total_entries"] <= 100
        return answer["task_instances"]

    def under_way(self) -> None:
        """Wait until some tasks have ended and others run."""
        wait_for("the day to be under way", lambda: len(self.instances("success")) > 2 and self.instances("running"))

    def finish(self, patience: float) -> dict[str, Any]:
        """Wait for the end of all runs, hold the warehouse against pandas, say what it took."""

        def ended():
            try:
                states = next(watch_day(self.stack.airflow, MEMBERS, date.fromisoformat(self.day), patience))
            except ApiError:  # a part that the API needs is not back yet
                return None
            return states if all(each.done for each in states) else None

        states = wait_for(f"{self.day} to end", ended, patience, pause=1)
        seconds = time.monotonic() - self.began
        assert {each.member.dag_id: each.state for each in states} == {each.dag_id: "success" for each in MEMBERS}
        requeued = f"/eventLogs?event=stuck%20in%20queued%20reschedule&run_id=answers__{self.day}"
        return {
            "retried": sum(each["try_number"] > 1 for each in self.instances()),
            "requeued": len(self.stack.airflow.pages(requeued, "event_logs")),
            **self.compare(),
            "seconds": round(seconds),
        }

    def compare(self) -> dict[str, int]:
        """Return how many flights are missing and how many doubled; then every column of every row, and the sums above them."""

        def rows_of_day(name: str, where: str = ""):
            return self.stack.sql(f"SELECT * FROM warehouse.{name} WHERE flight_date = '{self.day}' {where}")

        wanted = expected.flights(self.day, self.day)
        wanted = wanted[wanted["carrier"].isin(CARRIERS)]
        assert len(wanted) > 100
        flights = rows_of_day("carrier_flights")
        distinct = len(flights.drop_duplicates(expected.FLIGHT_KEY))
        counts = {"missing": len(wanted) - distinct, "doubled": len(flights) - distinct}
        assert counts == {"missing": 0, "doubled": 0}
        expected.assert_equal(flights, wanted, expected.FLIGHT_KEY)
        reports = fleet.totals(self.day, CARRIERS, ["carrier"])
        expected.assert_equal(rows_of_day("fleet_reports"), reports[fleet.REPORT], ["carrier"])
        airports = fleet.totals(self.day, CARRIERS, ["origin"])
        expected.assert_equal(
            rows_of_day("fleet_airports", "AND rollup = 'headline'"), airports[fleet.AIRPORTS], ["origin"]
        )
        return counts
