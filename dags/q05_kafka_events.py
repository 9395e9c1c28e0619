"""Q5 · Kafka messages start runs, in three ways: an asset's watcher, a sensor, a webhook. One function handles them all.

Look at: who tracks the offsets (the warehouse's inbox; the consumer group; the run's id), that none is moved before its work
is safe, and that an event is a signal: q05_kafka_event reads to the end of the topic, whatever its events announce.
Paused until `answers kafka up`. Produces warehouse.flight_status; `answers kafka audit` compares it with the broker.
"""

from datetime import timedelta

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, task
from pendulum import datetime

from include.questions import doc_md
from plugins.failures import RETRY_POLICY
from plugins.sensors.kafka_messages import KafkaMessageSensor
from plugins.triggers.kafka_events import KafkaEventsTrigger

# As in include/flight_status/broker.py, which loads Kafka's client: too much for each parse. tests/dag/test_q05.py compares them.
EVENT, SENSOR, WEBHOOK = "flight-status-event", "flight-status-sensor", "flight-status-webhook"
# A task whose worker, broker or warehouse was killed goes on at once; five minutes of waiting would be lag.
AGAIN = timedelta(seconds=5)
COMMON = {
    "start_date": datetime(2026, 1, 1, tz="UTC"),
    "catchup": False,
    "is_paused_upon_creation": True,
    "default_args": {"owner": "flight-status", "retry_policy": RETRY_POLICY},
    "tags": ["q05", "kafka", "clickhouse"],
    "doc_md": doc_md("q05"),
}
# By name alone: a kafka:// address makes every provider's handler of addresses be imported at each parse, boto3 among them.
arrived = Asset(
    name="flight_status_arrived",
    watchers=[AssetWatcher(name="arrived", trigger=KafkaEventsTrigger(topics=[EVENT], group="answers-event"))],
)

with DAG(
    dag_id="q05_kafka_event",
    description="Messages that an asset's watcher announces; every ten minutes whatever was left",
    schedule=AssetOrTimeSchedule(timetable=CronTriggerTimetable("*/10 * * * *", timezone="UTC"), assets=[arrived]),
    max_active_runs=1,
    **COMMON,
):

    @task(pool="warehouse", retries=10, retry_delay=AGAIN)
    def process_backlog(triggering_asset_events=None, dag_run=None) -> dict:
        """Handle all messages up to the end of the topic; return the offsets, and what the events had announced."""
        from plugins.kafka import announced_slices, backlog, handle_messages

        events = announced_slices(triggering_asset_events)
        done, _ = handle_messages(backlog(EVENT), dag_run)
        return {**done, "announced": events}

    process_backlog()

with DAG(
    dag_id="q05_kafka_sensor",
    description="Messages that a sensor waits for, run after run",
    schedule="@continuous",
    max_active_runs=1,
    **COMMON,
):
    wait_for_message = KafkaMessageSensor(
        task_id="wait_for_message",
        topics=[SENSOR],
        apply_function="include.flight_status.events.coordinates",
        commit_offset=False,  # the default commits before anything is done with the message
        poll_interval=1,
        timeout=timedelta(hours=1).total_seconds(),
        soft_fail=True,
        retries=10,
        retry_delay=AGAIN,
    )

    @task(pool="warehouse", retries=10, retry_delay=AGAIN)
    def process_uncommitted(dag_run=None) -> dict:
        """Handle what the consumer group has not committed, then commit it; return the offsets."""
        from include.flight_status.broker import commit_offsets
        from plugins.kafka import handle_messages, options, uncommitted

        done, slices = handle_messages(uncommitted(SENSOR, "answers"), dag_run)
        commit_offsets(options(), "answers", slices)
        return done

    wait_for_message >> process_uncommitted()

with DAG(
    dag_id="q05_kafka_webhook",
    description="One message a run, whose id is made of topic, partition and offset: answers/operate/relay.py posts it",
    schedule=None,
    max_active_runs=8,
    **COMMON,
):

    @task(pool="warehouse", retries=10, retry_delay=AGAIN)
    def process_message(dag_run=None) -> dict:
        """Handle the message, or the batch, that the run's conf points at; return its offsets."""
        from plugins.kafka import handle_messages, posted_messages

        return handle_messages(posted_messages(dag_run.conf or {}), dag_run)[0]

    process_message()
