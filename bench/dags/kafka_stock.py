"""Uses the stock Kafka trigger, an event per message: `python -m bench kafka` compares it with dags/q05."""

from datetime import timedelta

from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, task
from pendulum import datetime

TOPIC = "flight-status-stock"
trigger = AwaitMessageTrigger(
    topics=[TOPIC], kafka_config_id="kafka_stock", apply_function="include.flight_status.events.coordinates"
)
stock = Asset(
    name="kafka_stock", uri=f"kafka://kafka_stock/{TOPIC}", watchers=[AssetWatcher(name="stock", trigger=trigger)]
)

with DAG(
    "kafka_stock", schedule=[stock], start_date=datetime(2026, 1, 1), max_active_runs=1, is_paused_upon_creation=True
):

    @task(pool="warehouse", retries=10, retry_delay=timedelta(seconds=5))
    def process_announced(triggering_asset_events=None, dag_run=None) -> dict:
        """Handle the messages of the run's events, and no others."""
        from include.flight_status.broker import Slice
        from plugins.kafka import announced_slices, handle_messages

        places = announced_slices(triggering_asset_events)
        wanted = [Slice(each["topic"], each["partition"], each["offset"], each["offset"] + 1) for each in places]
        return handle_messages(lambda *_: wanted, dag_run)[0]

    process_announced()
