"""Q9 · A DAG to test: what airlines owe for a day's cancelled and late flights, and whether it is overdue.

Look at: the three things that a test replaces, each of them from outside. The clock is a parameter of the run, `now`; the
warehouse and the receiver are connections. What is decided with them is plain Python, include/refunds.py.
Reads warehouse.flights of question 1; posts one notice an airline to /refunds of the connection ops_webhook.
"""

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, task
from pendulum import datetime

from include.questions import doc_md
from plugins.failures import RETRY_POLICY

ZONE = "America/New_York"

with DAG(
    dag_id="q09_refunds",
    description="One notice an airline: flights to be paid back, and by when",
    schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
    start_date=datetime(2013, 1, 1, tz=ZONE),
    end_date=datetime(2013, 12, 31, tz=ZONE),
    catchup=False,
    default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY},
    params={
        "now": Param(
            None,
            type=["null", "string"],
            format="date-time",
            description="The run's clock, such as 2013-07-03T12:00:00-04:00; empty: the machine's",
        )
    },
    tags=["q09", "clickhouse"],
    doc_md=doc_md("q09"),
) as dag:

    @task(pool="warehouse")
    def find_owed(data_interval_start=None) -> list[dict]:
        """Count the flights of the run's day that are to be paid back."""
        from include import refunds
        from plugins.warehouse import open_warehouse

        with open_warehouse() as client:
            return refunds.owed_refunds(client, data_interval_start.in_timezone(ZONE).date())

    @task
    def tell_airlines(owed: list[dict], data_interval_start=None, params=None) -> dict:
        """Send each airline its notice, by the run's clock."""
        from airflow.sdk import Connection

        from include import refunds
        from plugins.webhook import poster

        now = refunds.make_clock(params["now"])
        found = refunds.make_notices(owed, data_interval_start.in_timezone(ZONE).date(), now)
        return refunds.send_notices(found, poster(Connection.get("ops_webhook")))

    tell_airlines(find_owed())
