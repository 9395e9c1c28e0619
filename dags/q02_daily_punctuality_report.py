"""Q2 · A daily report with a deadline: wait for an external feed -> write the report, or somebody is told that it is late.

Look at: `deadline=` (reference, interval, callback: all three in configuration or plugins/), the sensor that waits in the
triggerer, and retries that come from the platform's configuration except where this DAG has a reason.
Reads warehouse.daily_delays of question 1 and the register of airlines; produces data_root/reports/punctuality/DAY.md.
"""

from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, AsyncCallback, CronDataIntervalTimetable, DeadlineAlert, task
from airflow.sdk.definitions.deadline import VariableInterval
from pendulum import datetime

from include.questions import doc_md
from plugins.callbacks.deadline_missed import deadline_missed
from plugins.deadlines import RunDue
from plugins.failures import RETRY_POLICY
from plugins.sensors.external_feed import ExternalFeedSensor

ZONE = "America/New_York"
OWNER = "flight-reports"

with DAG(
    dag_id="q02_daily_punctuality_report",
    description="How punctual the airlines left New York yesterday, half an hour after the day is over",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    max_active_runs=32,  # a run that waits costs nothing
    deadline=DeadlineAlert(
        name="report in time",
        reference=RunDue(),
        interval=VariableInterval("q02_report_within"),  # seconds; read when a run is created
        callback=AsyncCallback(deadline_missed, kwargs={"owner": OWNER}),
    ),
    default_args={"owner": OWNER, "retry_policy": RETRY_POLICY},
    tags=["q02", "clickhouse"],
    doc_md=doc_md("q02"),
) as dag:
    airlines = ExternalFeedSensor(
        task_id="wait_for_airlines",
        what="the register of airlines",
        feed="{{ var.value.airlines_feed }}",
        first_line="carrier,name",
        timeout=timedelta(hours=2),
    )

    # Five minutes between retries, the platform's default, would use up a deadline of half an hour.
    @task(pool="warehouse", retry_delay=timedelta(minutes=1))
    def write_report(feed: str, data_root: str, data_interval_start=None) -> dict:
        """Write the report of the run's day."""
        from include import external_feed
        from include.flights import report
        from plugins.warehouse import open_warehouse

        day = data_interval_start.in_timezone(ZONE).date()
        names = report.airline_names(external_feed.read_feed(feed))
        with open_warehouse() as client:
            rows = report.delays_by_carrier(client, day)
        return report.write_report(rows, names, day, Path(data_root) / "reports" / "punctuality")

    airlines >> write_report("{{ var.value.airlines_feed }}", "{{ var.value.data_root }}")
