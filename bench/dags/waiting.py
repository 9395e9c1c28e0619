"""Waits for one upstream in four ways, a DAG each: `python -m bench waiting` counts the slots that it costs."""

from datetime import timedelta

from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, task
from pendulum import datetime

ZONE = "America/New_York"
checked = Asset("bench.checked")
DAILY = CronDataIntervalTimetable("@daily", timezone=ZONE)
DATED = {
    "start_date": datetime(2013, 1, 1, tz=ZONE),
    "end_date": datetime(2013, 12, 31, tz=ZONE),
    "catchup": False,
    # Now and then the scheduler takes a sensor that is queued again at once for a task that died.
    "default_args": {"retries": 3, "retry_delay": timedelta(seconds=1)},
}
WAYS = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}


@task(outlets=[checked])
def work() -> int:
    """Read the year's feed month by month and check every row against its contract: twenty seconds of real work."""
    import pendulum

    from include.flights.feed import default_feed, read_interval

    months = [pendulum.datetime(2013, month, 1, tz=ZONE) for month in range(1, 13)]
    return sum(read_interval(default_feed(), each, each.add(months=1))["flights"].num_rows for each in months)


@task
def use() -> str:
    """Return what the consumer is there for."""
    return "the upstream is done"


with DAG("waiting_upstream", schedule=DAILY, **DATED):
    work()

for way, how in WAYS.items():
    with DAG(f"waiting_{way}", schedule=DAILY, **DATED):
        sensor = ExternalTaskSensor(
            task_id="wait",
            external_dag_id="waiting_upstream",
            external_task_id="work",
            failed_states=["failed"],
            poke_interval=2,
            timeout=600,
            **how,
        )
        sensor >> use()

with DAG("waiting_asset", schedule=[checked], default_args={"retries": 0}):
    use()
