"""Question 2: reports that are punctual, one that is late, and compliance from their history."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include import misses
from include.sla import compliance
from include.sla.command import judge_history, keep
from include.stack.client import ApiError

if TYPE_CHECKING:
    from include.demonstration import Demo

WITHIN = "q02_report_within"


def play(demo: Demo) -> None:
    """Write the report for the days of question 1, the last one with a deadline of one second, and print the evidence."""
    airflow, days = demo.airflow, demo.days
    dag_id = airflow.find_dag("q02")
    demo.run(dag_id, days[:-1])
    late, seconds = f"answers__{days[-1]}", airflow.request("GET", f"/variables/{WITHIN}").json()["value"]
    # Only a run that is created gets a deadline; an earlier demonstration may have left one.
    airflow.request("DELETE", f"/dags/{dag_id}/dagRuns/{late}", expect=(204, 404))
    airflow.request("PATCH", f"/variables/{WITHIN}", json={"key": WITHIN, "value": "1"})
    try:
        demo.run(dag_id, days[-1:])
    finally:
        airflow.request("PATCH", f"/variables/{WITHIN}", json={"key": WITHIN, "value": seconds})
    run_ids = [f"answers__{day}" for day in days]
    for day, run_id in zip(days, run_ids, strict=True):
        report = airflow.xcom(dag_id, run_id, "write_report")
        demo.out.print(f"{day}: {report['flights']} flights; most delayed: {report['worst']}", highlight=False)
    miss = _miss(demo, late)
    judged = judge_history([dag_id], days[0], days[-1], datetime.now(UTC))
    keep(judged)
    total = compliance(judged)[-1]
    tasks = airflow.request("GET", f"/dags/{dag_id}/tasks").json()["tasks"]
    retries = (
        f"{each['task_id']} {each['retries']:.0f}, {each['retry_delay']['seconds'] // 60} min apart" for each in tasks
    )
    waits = [airflow.xcom(dag_id, run_id, "wait_for_airlines")["waited"] for run_id in run_ids]
    demo.evidence(
        "q02",
        {
            "2.1": f"{late} was {miss['state']} at its deadline: recorded, and its owner {miss['owner']} notified",
            "2.2": "retries: " + "; ".join(retries),
            "2.5": f"the feed was there at the first look, within {max(waits):.1f} s",
            "2.6": f"{total.on_time} on time, {total.late} late, {total.failed} failed, {total.missing} missing of "
            f"{total.scheduled}: {total.compliance or 0:.1%}",
        },
    )


def _miss(demo: Demo, run_id: str) -> dict[str, object]:
    """The record of this run's miss, once its notification has arrived."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for each in misses.recorded(demo.settings.home / "data"):
            if each["run_id"] == run_id and each["notified"]:
                return each
        time.sleep(0.2)
    raise ApiError(f"no notification of {run_id} after a minute: see {demo.settings.home / 'logs' / 'triggerer.log'}")
