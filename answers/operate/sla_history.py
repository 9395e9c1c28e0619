"""Reads the history of runs through Airflow's REST API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from answers.operate.sla_judge import Run
from answers.stack.client import Airflow, ApiError


def runs_of(airflow: Airflow, dag_id: str) -> list[Run]:
    """Return every run of a DAG that has a data interval, oldest first."""
    missed: dict[str, datetime] = {}
    for each in airflow.missed_deadlines(dag_id):
        missed.setdefault(each["dag_run_id"], _instant(each["deadline_time"]))
    runs = []
    for each in airflow.runs(dag_id, order_by="run_after"):
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


def deadline_interval(airflow: Airflow, asked: Any) -> timedelta:
    """Return a deadline's interval: seconds, or {"variable": key}, as it is now.

    :raises ApiError: the Variable is not a number of seconds
    """
    if not isinstance(asked, dict):
        return timedelta(seconds=asked)
    key = asked["variable"]
    value = airflow.variable(key)
    if not value.isdigit():
        raise ApiError(f"the Variable {key} is {value!r}: it should be a number of seconds")
    return timedelta(seconds=int(value))


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
