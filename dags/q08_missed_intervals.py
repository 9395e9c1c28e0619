"""Q8 · What happens to the days that were missed while a DAG was paused: each runs with catchup, none but the last without.

Look at: the two DAGs differ in `catchup`, and the first one has an end date. Unpause them: with catchup five runs of July 2013,
without it one run, of yesterday.
(A third trap: without catchup *and* with an end date that has passed, unpausing starts nothing at all.)
"""

from pathlib import Path

from airflow.sdk import DAG, CronDataIntervalTimetable, task
from pendulum import datetime

from plugins.failures import RETRY_POLICY

ZONE = "America/New_York"


@task
def count_flights(feed: str, data_interval_start=None, data_interval_end=None) -> dict:
    """Count the flights of the interval; the feed knows 2013 alone."""
    from include.flights.days import local_day
    from include.flights.feed import count_flights as count

    counts = count(Path(feed), data_interval_start, data_interval_end)
    return {
        "day": local_day(data_interval_start),
        "flights": sum(sum(each.values()) for each in counts.values()),
    }


for name, catchup, end in (("caught_up", True, datetime(2013, 7, 5, tz=ZONE)), ("skipped", False, None)):
    with DAG(
        dag_id=f"q08_missed_{name}",
        description=f"Missed days are {name.replace('_', ' ')}: catchup={catchup}",
        schedule=CronDataIntervalTimetable("@daily", timezone=ZONE),
        start_date=datetime(2013, 7, 1, tz=ZONE),
        end_date=end,
        catchup=catchup,
        is_paused_upon_creation=True,
        default_args={"owner": "data-platform", "retry_policy": RETRY_POLICY},
        tags=["q08"],
    ):
        count_flights("{{ var.value.flights_feed }}")
