"""Writes punctual reports and a late one, and computes the compliance from their history (question 2)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from answers.operate.sla import judge_history, keep_verdicts
from answers.operate.sla_judge import compliance
from include import external_feed
from include.alerts import records
from include.files import write_atomically

if TYPE_CHECKING:
    from answers.demo import Demo

WITHIN = "q02_report_within"


def play_part(demo: Demo) -> None:
    """Write the reports for the days of question 1 and print the evidence. The last day's feed is late, and so its report."""
    airflow, days = demo.airflow, demo.days
    dag_id = airflow.find_dag("q02")
    demo.run(dag_id, days[:-1])
    late = f"answers__{days[-1]}"
    # Only a run that is created gets a deadline; an earlier demonstration may have left one.
    airflow.delete_run(dag_id, late)
    delivered = demo.settings.home / "data" / "delivered" / "airlines.csv"
    delivered.unlink(missing_ok=True)
    before = {key: airflow.variable(key) for key in ("airlines_feed", WITHIN)}
    try:
        airflow.set_variable("airlines_feed", f"file://{delivered}")
        airflow.set_variable(WITHIN, "1")
        began = datetime.now(UTC).isoformat()
        airflow.start(dag_id, days[-1])
        miss = demo.wait_until(
            lambda: _notified_miss(demo, late, began), f"the notification of {late}", log="triggerer"
        )
        demo.wait_until(
            lambda: airflow.run(dag_id, late).tasks["wait_for_airlines"][0] == "deferred",
            "the waiting sensor",
            log="triggerer",
        )
        slots = airflow.pools()["default_pool"]
        write_atomically(delivered, external_feed.read_feed(before["airlines_feed"]))
        demo.finish(dag_id, [late])
    finally:
        for key, value in before.items():
            airflow.set_variable(key, value)
    run_ids = [f"answers__{day}" for day in days]
    for day, run_id in zip(days, run_ids, strict=True):
        report = airflow.xcom(dag_id, run_id, "write_report")
        demo.out.print(f"{day}: {report['flights']} flights; most delayed: {report['worst']}", highlight=False)
    judged = judge_history([dag_id], days[0], days[-1], datetime.now(UTC))
    keep_verdicts(judged)
    total = compliance(judged)[-1]
    tasks = airflow.tasks(dag_id)
    retries = (
        f"{each['task_id']} {each['retries']:.0f}, {each['retry_delay']['seconds'] // 60} min apart" for each in tasks
    )
    waited = airflow.xcom(dag_id, late, "wait_for_airlines")["waited"]
    demo.evidence(
        "q02",
        {
            "2.1": f"{late} was {miss['state']} at its deadline: recorded, and its owner {miss['owner']} notified",
            "2.2": "retries: " + "; ".join(retries),
            "2.5": f"{late} waited {waited:.1f} s for its feed; meanwhile {slots['deferred_slots']} deferred, "
            f"{slots['occupied_slots']} slots occupied",
            "2.6": f"{total.on_time} on time, {total.late} late, {total.failed} failed, {total.missing} missing of "
            f"{total.scheduled}: {total.compliance or 0:.1%}",
        },
    )


def _notified_miss(demo: Demo, run_id: str, since: str) -> dict[str, Any] | None:
    """Return the record of this run's miss once its notification has arrived. Ignore those of earlier demonstrations."""
    found = [each for each in records.recorded_misses(demo.settings.home / "data") if each["run_id"] == run_id]
    return next((each for each in found if each["notified"] and each["recorded_at"] >= since), None)
