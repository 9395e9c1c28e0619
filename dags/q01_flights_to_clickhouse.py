"""Q1 · One day of flights: raw feed -> Spark SQL -> ClickHouse.

Look at: the three kinds of task (Bash, Python, SparkSubmit), the two ways to draw an edge, the interval timetable,
retries that come from the platform's configuration, and the load: staging tables -> validation -> REPLACE PARTITION.
Produces warehouse.flights, warehouse.daily_delays and warehouse.delay_features, one partition a day.
"""

from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, task
from pendulum import datetime

from include.flights.spark import SMALL_JOB
from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.notifiers.failure import NOTIFY_FAILURES, notify_failure
from plugins.operators.publish_partition import PublishPartitionOperator
from plugins.operators.spark_transform import spark_transform

PROJECT = Path(__file__).resolve().parents[1]
ZONE = "America/New_York"

with DAG(
    dag_id="q01_flights_to_clickhouse",
    description="One day of flights out of New York: raw CSV -> Spark SQL -> ClickHouse",
    # A bare "@daily" would be a trigger timetable: its runs have an empty data interval.
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY, **NOTIFY_FAILURES},
    on_failure_callback=notify_failure,
    tags=["q01", "spark", "clickhouse"],
    doc_md=doc_md("q01"),
) as dag:
    inspect_feed = BashOperator(
        task_id="inspect_feed",
        bash_command='bash include/flights/inspect_feed.sh "$FEED"',
        env={"FEED": "{{ var.value.flights_feed }}"},  # as data, never spliced into the command
        append_env=True,
        cwd=str(PROJECT),
    )

    @task
    def ingest(feed: str, data_root: str, run_id=None, data_interval_start=None, data_interval_end=None) -> dict:
        """Land the records of this data interval as Parquet; a breach of the feed's contract is permanent."""
        from include.flights.feed import land_interval

        return land_interval(Path(feed), Path(data_root), data_interval_start, data_interval_end, run_id)

    landed = ingest("{{ var.value.flights_feed }}", "{{ var.value.data_root }}")

    transform = spark_transform(landed, SMALL_JOB)  # a SparkSubmitOperator

    publish = PublishPartitionOperator(task_id="publish", landed=landed, pool="warehouse")

    @task
    def summarise(report: dict) -> str:
        """Say what the run did, for people."""
        return "{first_day}: {rows_in} flights in, {published[flights]} published, {cancelled} cancelled".format(
            **report
        )

    inspect_feed >> landed >> transform
    transform.set_downstream(publish)  # the same edge as `transform >> publish`
    publish >> summarise(publish.output)
