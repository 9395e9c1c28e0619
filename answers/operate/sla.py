"""Judges the history of runs and keeps the verdicts in the warehouse."""

from __future__ import annotations

import os
from datetime import date, datetime

from answers.operate.sla_judge import Judged, Slot, judge
from answers.operate.sla_schedule import scheduled
from answers.operate.sla_store import write_verdicts

EARLIEST = date(2000, 1, 1)


def judge_history(dags: list[str], first: date | None, last: date | None, now: datetime) -> list[Judged]:
    """Judge what the DAG files schedule by what Airflow's REST API remembers.

    :param first: local day on which an interval begins, like `last`; None for that of the DAG's first and last run
    :raises ValueError: the days are the wrong way round, or a DAG cannot be judged; :raises ApiError: no answer
    """
    from answers.operate.sla_history import deadline_interval, runs_of
    from answers.stack.client import Airflow
    from answers.stack.settings import Settings

    if first and last and last < first:
        raise ValueError(f"--to {last} lies before --from {first}")
    # In a container of Airflow the environment is set up already.
    environment = dict(os.environ) if "AIRFLOW_HOME" in os.environ else Settings.load().environment()
    airflow = Airflow()
    slots, runs, deadlines = [], [], {}
    for dag_id, plan in scheduled(first or EARLIEST, last or now.date(), dags, environment).items():
        deadlines[dag_id] = deadline_interval(airflow, plan["within"])
        history = runs_of(airflow, dag_id)
        begins = [run.start for run in history]
        for start, end in (map(datetime.fromisoformat, pair) for pair in plan["slots"]):
            if (first or (begins and start >= min(begins))) and (last or (begins and start <= max(begins))):
                slots.append(Slot(dag_id, start, end))
        runs += history
    return judge(slots, runs, deadlines, now)


def keep_verdicts(judged: list[Judged]) -> None:
    """Write the verdicts to the warehouse that is configured.

    :raises WarehouseUnavailable: it does not answer
    """
    from answers.stack.connections import open_warehouse

    with open_warehouse() as client:
        write_verdicts(client, judged)
