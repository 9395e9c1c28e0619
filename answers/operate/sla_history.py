"""The history of runs, through Airflow's REST API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from answers.stack.client import Airflow, ApiError
from include.sla.judge import Run


def runs_of(airflow: Airflow, dag_id: str) -> list[Run]:
    """Every run of a DAG that has a data interval, oldest first.

    Missed deadlines come from the address that the UI asks (`/ui/dags/…/deadlines`): on 3.3 the public API has none.
    """
    missed: dict[str, datetime] = {}
    path = f"/dags/{dag_id}/dagRuns/~/deadlines?missed=true&order_by=deadline_time"
    for each in airflow.pages(path, "deadlines", "/ui"):
        missed.setdefault(each["dag_run_id"], _instant(each["deadline_time"]))
    runs = []
    for each in airflow.pages(f"/dags/{dag_id}/dagRuns?order_by=run_after", "dag_runs"):
        if not each["data_interval_start"]:
            continue
        # As plugins.deadlines.RunDue says it.
        due = (each["queued_at"] or each["run_after"]) if each["run_type"] == "backfill" else each["run_after"]
        runs.append(
            Run(
                dag_id,
                each["dag_run_id"],
                _instant(each["data_interval_start"]),
                _instant(due),
                each["state"],
                _instant(each["end_date"]) if each["end_date"] else None,
                missed.get(each["dag_run_id"]),
            )
        )
    return runs


def within(airflow: Airflow, asked: Any) -> timedelta:
    """A deadline's interval: seconds, or {"variable": key}, as it is now.

    :raises ApiError: the Variable is not a number of seconds
    """
    if not isinstance(asked, dict):
        return timedelta(seconds=asked)
    key = asked["variable"]
    value = airflow.request("GET", f"/variables/{key}").json()["value"]
    if not str(value).isdigit():
        raise ApiError(f"the Variable {key} is {value!r}: it should be a number of seconds")
    return timedelta(seconds=int(value))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
