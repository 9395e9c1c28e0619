"""Consumes a topic and posts the places of its messages to Airflow's REST API as runs: the way "webhook".

One message is one run, and the run's id is kafka__TOPIC-PARTITION-OFFSET, so that a message that is delivered again is answered
409, which is success. With batches a run is given up to so many messages, and its id is kafka__TOPIC-PARTITION-FIRST-LAST.
The offset is committed after Airflow has taken the run: killed in between, the same run is asked for, or found, again.
Run as `python -m answers.operate.relay`, or `answers kafka relay`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition
from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_random_exponential

from answers.interrupts import interruptible
from answers.stack.client import Airflow, ApiError
from answers.stack.connections import kafka_options
from include.flight_status import broker

log = logging.getLogger(__name__)
T = TypeVar("T")
DAG = "q05_kafka_webhook"
PATIENCE = 240  # seconds for one message; below max.poll.interval.ms, after which the group gives the partition away


class RunNotTaken(RuntimeError):
    """Airflow did not take the run; trying again may help."""


@dataclass(frozen=True)
class Batches:
    """Say how much a run is given.

    :param messages: at most, of one partition; :param wait: seconds that the first one waits for others
    """

    messages: int = 1
    wait: float = 0.0

    @classmethod
    def from_environment(cls) -> Batches:
        """Read ANSWERS_RELAY_BATCH and ANSWERS_RELAY_WAIT_MS; one message a run without them.

        :raises ValueError: one of them is no whole number, or too small
        """
        return cls(
            _whole_number("ANSWERS_RELAY_BATCH", 1, least=1), _whole_number("ANSWERS_RELAY_WAIT_MS", 0, 0) / 1000
        )


ONE_MESSAGE = Batches()


def _whole_number(name: str, default: int, least: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"{name}={text}: a whole number from {least} is needed")
    return int(text)


def run_id_of(place: dict[str, Any]) -> str:
    """Name the run of a place: topic, topic_id, partition, offset, and with batches the last offset, too."""
    last = f"-{place['last']}" if "last" in place else ""
    return f"kafka__{place['topic']}-{place['partition']}-{place['offset']}{last}"


def post_run(airflow: Airflow, place: dict[str, Any]) -> bool:
    """Ask for the run of a place, see `run_id_of`. Returns whether it is new.

    :raises RunNotTaken: no answer, or one that another try may change
    """
    run_id = run_id_of(place)
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


def taken_until(airflow: Airflow, start: dict[str, Any]) -> int:
    """Return the offset behind the batches that Airflow has taken from a place on; the place's own if there is none.

    A relay that was killed before its commit does not know where its batch ended: other messages have come since.

    :raises RunNotTaken: no answer
    """
    try:
        runs = airflow.runs(DAG, run_id_prefix_pattern=run_id_of(start) + "-")
    except ApiError as error:
        raise RunNotTaken(f"{run_id_of(start)}: {error}") from error
    confs = [conf for run in runs if (conf := run["conf"] or {}).get("topic_id") == start["topic_id"]]
    ends = [conf["last"] + 1 for conf in confs if "last" in conf]
    return taken_until(airflow, start | {"offset": max(ends)}) if ends else start["offset"]


def relay_messages(
    airflow: Airflow, opts: broker.Options, most: int | None = None, batches: Batches = ONE_MESSAGE
) -> int:
    """Relay messages until it is interrupted, or until `most` are done. Returns how many Airflow has taken.

    :raises RunNotTaken: for minutes Airflow took no run; what is not committed comes again
    """
    topic, done = broker.WAYS["webhook"], 0
    consumer = Consumer({**opts, "group.id": broker.GROUPS["webhook"]})
    id_of = broker.topic_ids(opts)

    def begin_behind_last_batch(_: Consumer, assigned: list[TopicPartition]) -> None:
        places = consumer.committed(assigned, timeout=broker.PATIENCE)
        for each in places:
            first = each.offset if each.offset >= 0 else consumer.get_watermark_offsets(each, broker.PATIENCE)[0]
            start = {"topic": topic, "topic_id": id_of(topic), "partition": each.partition, "offset": first}
            each.offset = _patiently(taken_until, airflow, start)
        consumer.assign(places)

    consumer.subscribe([topic], **({"on_assign": begin_behind_last_batch} if batches.messages > 1 else {}))
    try:
        while most is None or done < most:
            messages = _gather(consumer, batches, most and most - done)
            if not messages:
                continue
            # The id is asked for each time: the topic may be another one of this name.
            for place in _places(messages, id_of(topic), batches):
                new = _patiently(post_run, airflow, place)
                log.info("%s: %s", run_id_of(place), "taken" if new else "known")
                _commit(consumer, place)
            done += len(messages)
    finally:
        consumer.close()
    return done


def _gather(consumer: Consumer, batches: Batches, most: int | None) -> list[broker.Message]:
    """Return the next messages, none within a second."""
    first = consumer.poll(1.0)
    others = min(batches.messages, most or batches.messages) - 1
    found = [first, *(consumer.consume(others, timeout=batches.wait) if first and others else ())]
    good = []
    for message in filter(None, found):
        if error := message.error():
            log.warning("waiting for %s: %s", broker.WAYS["webhook"], error.str())
        else:
            good.append(message)
    return good


def _places(messages: Iterable[broker.Message], topic_id: str, batches: Batches) -> list[dict[str, Any]]:
    """Return the places of messages, one for each run: for each message, or for the batch of each partition."""
    if batches.messages == 1:
        return [_place(message, topic_id) for message in messages]
    places: dict[int, dict[str, Any]] = {}
    for message in messages:
        place = places.setdefault(message.partition(), _place(message, topic_id))
        place["last"] = message.offset()
    return list(places.values())


def _place(message: broker.Message, topic_id: str) -> dict[str, Any]:
    return {
        "topic": message.topic(),
        "topic_id": topic_id,
        "partition": message.partition(),
        "offset": message.offset(),
    }


def _commit(consumer: Consumer, place: dict[str, Any]) -> None:
    behind = place.get("last", place["offset"]) + 1
    try:
        consumer.commit(offsets=[TopicPartition(place["topic"], place["partition"], behind)], asynchronous=False)
    except KafkaException as error:
        log.warning("not committed, so it will come again: %s", error)


def _patiently(ask: Callable[[Airflow, dict[str, Any]], T], airflow: Airflow, place: dict[str, Any]) -> T:
    """Ask Airflow about a place, again for some minutes while it does not answer."""
    return Retrying(
        retry=retry_if_exception_type(RunNotTaken),
        stop=stop_after_delay(PATIENCE),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )(ask, airflow, place)


def main() -> None:
    """Make the topics that are missing, and relay until the process is ended."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        with interruptible():
            batches = Batches.from_environment()
            opts = kafka_options()
            broker.create_topics(opts)
            relay_messages(Airflow(), opts, batches=batches)
    except KeyboardInterrupt:
        log.info("ended")


if __name__ == "__main__":
    main()
