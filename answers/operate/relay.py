"""The webhook way: consumes a topic and posts each message's place to Airflow's REST API as a run of its own.

The run's id is kafka__TOPIC-PARTITION-OFFSET, so that a message that is delivered again is answered 409, which is success.
The offset is committed after Airflow has taken the run: killed in between, the message is posted again.
Run as `python -m answers.operate.relay`, or `answers kafka relay`.
"""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import Consumer, KafkaException
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_random_exponential

from answers.interrupts import interruptible
from answers.stack.client import Airflow, ApiError
from answers.stack.connections import kafka_options
from include.flight_status import broker

log = logging.getLogger(__name__)
DAG = "q05_kafka_webhook"
PATIENCE = 240  # seconds for one message; below max.poll.interval.ms, after which the group gives the partition away


class RunNotTaken(RuntimeError):
    """Airflow did not take the run; trying again may help."""


def post_run(airflow: Airflow, place: dict[str, Any]) -> bool:
    """Ask for the run of the message at a place: topic, topic_id, partition, offset. Returns whether it is new.

    :raises NotTaken: no answer, or one that another try may change
    """
    run_id = f"kafka__{place['topic']}-{place['partition']}-{place['offset']}"
    try:
        if airflow.trigger(DAG, run_id, place):
            return True
        known = airflow.run_record(DAG, run_id) or {}
        if (known.get("conf") or {}).get("topic_id") == place["topic_id"]:
            return False
        # The topic was deleted and made again: this is another message, at an offset that was there before.
        return airflow.trigger(DAG, f"{run_id}__{place['topic_id']}", place)
    except ApiError as error:
        raise RunNotTaken(f"{run_id}: {error}") from error


def relay_messages(airflow: Airflow, opts: broker.Options, most: int | None = None) -> int:
    """Relay messages until it is interrupted, or until `most` are done. Returns how many Airflow has taken.

    :raises NotTaken: for minutes Airflow took no run; what is not committed comes again
    """
    topic, done = broker.WAYS["webhook"], 0
    consumer = Consumer({**opts, "group.id": broker.GROUPS["webhook"]})
    consumer.subscribe([topic])
    id_of = broker.topic_ids(opts)
    try:
        while most is None or done < most:
            message = consumer.poll(1.0)
            if message is None:
                continue
            if error := message.error():
                log.warning("waiting for %s: %s", topic, error.str())
                continue
            _deliver(airflow, message, id_of(topic))  # asked for each: the topic may be another one of this name
            try:
                consumer.commit(message=message, asynchronous=False)
            except KafkaException as error:
                log.warning("not committed, so it will come again: %s", error)
            done += 1
    finally:
        consumer.close()
    return done


def _deliver(airflow: Airflow, message: broker.Message, topic_id: str) -> None:

    place = {
        "topic": message.topic(),
        "topic_id": topic_id,
        "partition": message.partition(),
        "offset": message.offset(),
    }
    new = Retrying(
        retry=retry_if_exception_type(RunNotTaken),
        stop=stop_after_delay(PATIENCE),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )(post_run, airflow, place)
    log.info("%s-%s-%s: %s", *(place[key] for key in ("topic", "partition", "offset")), "taken" if new else "known")


def main() -> None:
    """Make the topics that are missing, and relay until the process is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with interruptible():
            opts = kafka_options()
            broker.create_topics(opts)
            relay_messages(Airflow(), opts)
    except KeyboardInterrupt:
        log.info("ended")


if __name__ == "__main__":
    main()
