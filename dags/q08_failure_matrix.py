"""Q8 · One DAG for each way in which a task dies; which of five safety nets notices is recorded, and is the table of docs/q08.md.

Look at: every DAG has all five: a task callback, a DAG callback, a teardown, a `one_failed` task and a deadline. In
`q08_matrix_sigkill` the DAG's callback also tells people. Started by tests and by hand, never by schedule:
`q08_matrix_sigkill_worker` kills the worker that runs it.
"""

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, TriggerRule, task
from pendulum import datetime

from include.alerts.failure_matrix import SCENARIOS, run_scenario
from plugins.callbacks.deadline_missed import deadline_missed
from plugins.callbacks.witness import dag_failed, record_effect_of, task_failed
from plugins.deadlines import RunDue
from plugins.notifiers.failure import notify_failure

OWNER = "data-platform"


@task
def record(effect: str, **context) -> None:
    """Record that this task ran."""
    record_effect_of(context, effect)


for scenario, title in SCENARIOS.items():
    with DAG(
        dag_id=f"q08_matrix_{scenario}",
        description=f"Who notices: {title}",
        schedule=None,
        start_date=datetime(2013, 1, 1),
        dagrun_timeout=timedelta(seconds=8) if scenario == "dagrun_timeout" else None,
        on_failure_callback=[dag_failed, notify_failure] if scenario == "sigkill" else [dag_failed],
        deadline=DeadlineAlert(
            reference=RunDue(),
            interval=timedelta(seconds=60),
            callback=AsyncCallback(deadline_missed, kwargs={"owner": OWNER}),
        ),
        default_args={"owner": OWNER},
        tags=["q08", "matrix"],
    ):
        work = task(
            task_id="work",
            retries=0,  # one would hide what is to be seen
            on_failure_callback=task_failed,
            execution_timeout=timedelta(seconds=2) if scenario == "task_timeout" else None,
        )(run_scenario)(scenario)
        prepare = EmptyOperator(task_id="prepare")
        tidy_up = record.override(task_id="tidy_up")("teardown").as_teardown(setups=prepare)
        prepare >> work >> tidy_up
        work >> record.override(task_id="recover", trigger_rule=TriggerRule.ONE_FAILED)("one_failed")
        work >> EmptyOperator(task_id="done")  # upstream_failed: without it the recovery would make the run a success
