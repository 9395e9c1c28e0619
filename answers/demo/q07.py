"""Loads a generated feed, two real days 400 times, with the warehouse's engine; shows totals and rate (question 7)."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING

from answers.operate import generate

if TYPE_CHECKING:
    from answers.demo import Demo

COPIES = 400  # of each flight: about 35 MB of CSV a day
DAYS = 2
FEED = "q07_feed"  # the Variable that says where the feed is


def play_part(demo: Demo) -> None:
    """Generate two days, run q07_scale on them, and say how long it took."""
    airflow, days = demo.airflow, demo.days[:DAYS]
    dag_id = airflow.find_dag("q07")
    folder = demo.settings.home / "data" / "demonstrated_feed"
    before = airflow.variable(FEED)
    try:
        generate.generate(folder, days, COPIES)
        airflow.set_variable(FEED, str(folder))
        run_id = airflow.start(dag_id, days[0], {"path": "engine"})
        demo.finish(dag_id, [run_id], 600)
        verified = airflow.xcom(dag_id, run_id, "verify")
    finally:
        airflow.set_variable(FEED, before)
        shutil.rmtree(folder, ignore_errors=True)
    times = {
        (task["task_id"].rpartition(".")[2], task["map_index"]): [
            datetime.fromisoformat(task[edge]) for edge in ("start_date", "end_date")
        ]
        for task in airflow.task_instances(dag_id, run_id)
        if task["state"] == "success" and task["start_date"]
    }
    began = min(start for (task, _), (start, _) in times.items() if task == "land")
    ended = max(end for (task, _), (_, end) in times.items() if task == "load_by_engine")
    seconds, megabytes = (ended - began).total_seconds(), verified["raw_bytes"] / 1e6
    demo.evidence(
        "q07",
        {
            "7.4": f"{verified['rows']:,} flights in {verified['chunks']} chunks, {megabytes:.0f} MB of CSV, in "
            f"{seconds:.1f} s until the last row was queryable: {megabytes / seconds:.1f} MB/s; every total is the feed's",
        },
    )
