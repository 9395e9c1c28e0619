"""Reads intervals and deadlines from the DAG files. Run in a process of its own, since parsing imports Airflow.

`python -m answers.operate.sla_schedule '{"from": "2013-06-10", "to": "2013-06-16", "dags": []}'` prints one JSON document:
{dag_id: {"within": seconds or {"variable": key}, "slots": [[start, end], ...]}} of the DAGs that have a deadline.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from answers.printed import last_document
from include.flights.days import midnight

SUPPORTED = ("RunDue", "DagRunQueuedAtDeadline")  # references that count from when a run could begin


def scheduled(first: date, last: date, dags: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Ask a process with this environment, see above.

    :param first: local day, like `last`; an interval belongs to the day on which it begins
    :param dags: DAG ids; every DAG with a deadline if empty
    :raises ValueError: a DAG is unknown, has no deadline or one that history cannot judge, or a file is broken
    """
    question = json.dumps({"from": str(first), "to": str(last), "dags": dags})
    done = subprocess.run(
        [sys.executable, "-m", "answers.operate.sla_schedule", question],
        env=environment,
        capture_output=True,
        text=True,
    )
    try:
        answer = last_document(done.stdout)
    except ValueError:
        raise ValueError(f"the DAG files cannot be parsed: {done.stderr.strip()[-1000:]}") from None
    if "error" in answer:
        raise ValueError(answer["error"])
    return dict(answer["dags"])


def _slots(dag: Any, first: date, last: date) -> list[list[str]]:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    begin, stop = midnight(first), midnight(last + timedelta(days=1))
    earliest = max(filter(None, [dag.start_date, instance(begin)]))
    timetable = coerce_to_core_timetable(dag.timetable)
    restriction = TimeRestriction(earliest, dag.end_date, catchup=True)
    slots: list[list[str]] = []
    before = None
    while info := timetable.next_dagrun_info(last_automated_data_interval=before, restriction=restriction):
        before = info.data_interval
        if before.start >= stop:
            break
        slots.append([before.start.isoformat(), before.end.isoformat()])
    return slots


def _within(dag: Any) -> Any:
    from airflow.sdk.definitions.deadline import VariableInterval

    usable = [alert for alert in dag.deadline or [] if alert.reference.reference_name in SUPPORTED]
    if not usable:
        return None
    interval = usable[0].interval
    return {"variable": interval.key} if isinstance(interval, VariableInterval) else interval.total_seconds()


def main() -> None:
    """Answer the question in the first argument."""
    question = json.loads(sys.argv[1])
    from airflow import settings
    from airflow.dag_processing.dagbag import BundleDagBag

    # As the DAG processor does it, with the folder on sys.path: a file may import what lies beside it.
    bag = BundleDagBag(dag_folder=settings.DAGS_FOLDER, bundle_path=Path(settings.DAGS_FOLDER), bundle_name="dags")
    first, last = (date.fromisoformat(question[key]) for key in ("from", "to"))
    found, wanted = {}, question["dags"]
    for dag_id, dag in sorted(bag.dags.items()):
        if dag_id in wanted or not wanted:
            within = _within(dag)
            if within is not None:
                found[dag_id] = {"within": within, "slots": _slots(dag, first, last)}
    if lacking := [dag_id for dag_id in wanted if dag_id not in found]:
        why = "no deadline that counts from when a run could begin, or is unknown"
        print(
            json.dumps({"error": f"{', '.join(lacking)} has {why}: give the DAG deadline=DeadlineAlert(RunDue(), …)"})
        )
    elif bag.import_errors:
        print(json.dumps({"error": f"broken DAG files: {', '.join(bag.import_errors)}"}))
    else:
        print(json.dumps({"dags": found}))


if __name__ == "__main__":
    main()
