"""Q8 · A day of flights that is published, doubted and taken back; and everybody who should know is told.

Look at: `NOTIFY_FAILURES` (Slack and e-mail from one place), `rollback`, which runs only when something before it failed, and
`done`, without which a run whose rollback succeeded would be green.
Produces warehouse.flights, warehouse.daily_delays and warehouse.delay_features, by the light path.
"""

from datetime import date
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule, task
from pendulum import datetime

from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.notifiers.failure import NOTIFY_FAILURES, notify_failure
from plugins.operators.publish_partition import PublishPartitionOperator
from plugins.operators.rollback_partition import RollbackPartitionOperator

ZONE = "America/New_York"

with DAG(
    dag_id="q08_recovery",
    description="One day of flights, taken back when it turns out to be implausible",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    params={"lost_at_most": Param(0.1, type="number", minimum=0, maximum=1, description="share of flights")},
    default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY, **NOTIFY_FAILURES},
    on_failure_callback=notify_failure,  # speaks where no task's callback did: after a kill, say
    tags=["q08", "clickhouse"],
    doc_md=doc_md("q08"),
) as dag:

    @task
    def prepare(feed: str, data_root: str, run_id=None, data_interval_start=None, data_interval_end=None) -> dict:
        """Land the records of this data interval and transform them with the warehouse's engine."""
        from include.flights import engine
        from include.flights.feed import land_interval
        from plugins.warehouse import open_warehouse

        with open_warehouse() as client:
            landed = land_interval(Path(feed), Path(data_root), data_interval_start, data_interval_end, f"q08 {run_id}")
            engine.transform_files(client, Path(landed["folder"]))
        return landed

    @task(pool="warehouse")
    def check(published: dict, params=None) -> dict:
        """Compare what is live now with the last good version; more than a few flights are not lost in a night."""
        from include.flights import plausible
        from plugins.warehouse import open_warehouse

        with open_warehouse() as client:
            return plausible.check_plausible(client, date.fromisoformat(published["first_day"]), params["lost_at_most"])

    landed = prepare("{{ var.value.flights_feed }}", "{{ var.value.data_root }}")
    publish = PublishPartitionOperator(task_id="publish", landed=landed, pool="warehouse")
    checked = check(publish.output)
    rollback = RollbackPartitionOperator(
        task_id="rollback", published=publish.output, trigger_rule=TriggerRule.ONE_FAILED, pool="warehouse"
    )
    checked >> rollback
    checked >> EmptyOperator(task_id="done")
