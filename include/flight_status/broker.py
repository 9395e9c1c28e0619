"""Speaks to the broker: topics, offsets, slices of a partition, commits. It subscribes to nothing.

A client's options are the `extra` of the Airflow connection `kafka_default`, see `plugins.kafka.options`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from tenacity import Retrying, retry_if_exception, wait_fixed

from include.errors import PermanentError
from include.waiting import Deadline

WAYS = {"event": "flight-status-event", "sensor": "flight-status-sensor", "webhook": "flight-status-webhook"}
GROUPS = {"event": "answers-event", "sensor": "answers", "webhook": "answers-relay"}  # sensor: that of the connection
DEAD_LETTER_TOPIC = "flight-status-dead"
TOPICS = (*WAYS.values(), DEAD_LETTER_TOPIC)
PARTITIONS = 3
LARGEST_MESSAGE = 12 << 20  # bytes that a topic takes
BATCH = 200  # messages at a time
# A partition that was just made, or whose broker has just come back, has no leader for a moment.
LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
TOPIC_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)
PATIENCE = 30  # seconds without a message or an answer (include/waiting.py)

Options = Mapping[str, Any]
Message = Any  # the client's own type says that each of its fields may be missing


class BrokerUnavailable(ConnectionError):
    """Kafka does not answer. Trying again may help."""


class TopicMissing(LookupError):
    """There is no such topic."""


class MessageGone(PermanentError, LookupError):
    """There is no such message: its topic is gone, or was made again."""


@dataclass(frozen=True)
class Slice:
    """The messages of one partition with start <= offset < stop."""

    topic: str
    partition: int
    start: int
    stop: int


def slice_of(place: Mapping[str, Any]) -> Slice:
    """Return the messages of a run's conf: the one at `offset`, or with `last` those from there to `last`."""
    return Slice(place["topic"], place["partition"], place["offset"], place.get("last", place["offset"]) + 1)


@dataclass(frozen=True)
class Topic:
    """A topic: `id` is another one when it was deleted and made again; `bounds` is partition -> (low, high offset)."""

    name: str
    id: str
    bounds: dict[int, tuple[int, int]]


def create_topics(opts: Options, partitions: int = PARTITIONS, names: Iterable[str] = TOPICS) -> None:
    """Make the topics that are missing."""
    config = {"max.message.bytes": str(LARGEST_MESSAGE), "retention.ms": "604800000"}
    new = [NewTopic(name, num_partitions=partitions, replication_factor=1, config=config) for name in names]
    admin = _admin(opts)  # its answers die with it
    with _translated_errors():
        for future in admin.create_topics(new).values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise


def find_topic(opts: Options, name: str) -> Topic:
    """Describe a topic as it is now.

    :raises TopicMissing: saying what makes it; :raises BrokerUnavailable: no answer
    """
    with _translated_errors(), _consumer(opts) as consumer:
        admin = _admin(opts)
        found = admin.describe_topics(TopicCollection([name]), request_timeout=PATIENCE)[name].result()
        numbers = [each.id for each in found.partitions]
        ask = _patient(lambda error: error.args[0].code() in LEADERLESS)
        bounds = {n: ask(consumer.get_watermark_offsets, TopicPartition(name, n), timeout=PATIENCE) for n in numbers}
        return Topic(name, str(found.topic_id), bounds)


def topic_ids(opts: Options) -> Callable[[str], str]:
    """Return a function that tells the present id of a topic, quicker than `find_topic`."""
    admin = _admin(opts)

    def ask(name: str) -> str:
        with _translated_errors():
            found = admin.describe_topics(TopicCollection([name]), request_timeout=PATIENCE)[name].result()
        return str(found.topic_id)

    return ask


def committed_offsets(opts: Options, name: str, group: str) -> dict[int, int]:
    """Return the offsets that a consumer group has committed, by partition; those without one are left out."""
    numbers = find_topic(opts, name).bounds
    with _translated_errors(), _consumer(opts, group) as consumer:
        found = consumer.committed([TopicPartition(name, number) for number in numbers], timeout=PATIENCE)
    return {each.partition: each.offset for each in found if each.offset >= 0}


def slices_to_read(now: Topic, starts: Mapping[int, int]) -> list[Slice]:
    """Return what lies between `starts` and each partition's end. A start that is no place of this topic is its beginning."""
    result = []
    for partition, (low, high) in sorted(now.bounds.items()):
        start = starts.get(partition, low)
        start = start if low <= start <= high else low
        if start < high:
            result.append(Slice(now.name, partition, start, high))
    return result


def commit_offsets(opts: Options, group: str, done: Iterable[Slice]) -> None:
    """Commit the ends of what has been processed. Waits until the group's members, which may be dying, are gone.

    :raises BrokerUnavailable: the broker, or a member of the group, does not let it
    """
    offsets = [TopicPartition(each.topic, each.partition, each.stop) for each in done]
    if not offsets:
        return
    attempts = _patient(lambda error: True)
    with _translated_errors(), _consumer(opts, group) as consumer:
        attempts(consumer.commit, offsets=offsets, asynchronous=False)


def read_batches(opts: Options, wanted: Iterable[Slice]) -> Iterator[list[Message]]:
    """Yield the messages of slices, in batches, each partition's in order.

    :raises BrokerUnavailable: no message came for half a minute
    """
    left = {(each.topic, each.partition): each for each in wanted if each.start < each.stop}
    with _translated_errors(), _consumer({**opts, "enable.partition.eof": True}) as consumer:
        consumer.assign([TopicPartition(each.topic, each.partition, each.start) for each in left.values()])
        deadline = Deadline(PATIENCE)
        missing = sum(each.stop - each.start for each in left.values())
        while left:
            batch = []
            message: Message
            # Asked for more than there is, the client waits to the end of its time.
            for message in consumer.consume(min(BATCH, max(missing, 1)), timeout=0.2):
                place = (message.topic(), message.partition())
                if message.error():
                    if message.error().code() != KafkaError._PARTITION_EOF:
                        raise KafkaException(message.error())
                    left.pop(place, None)  # the end moved back: expired, or the topic was made again
                elif (part := left.get(place)) and message.offset() < part.stop:
                    batch.append(message)
                    if message.offset() == part.stop - 1:
                        del left[place]
                deadline = Deadline(PATIENCE)
            missing -= len(batch)
            if batch:
                yield batch
                deadline = Deadline(PATIENCE)
            elif deadline.passed():
                silence = f"no message came for {deadline.seconds:.0f} s"
                raise BrokerUnavailable(f"{silence} of {', '.join(map(str, left.values()))}")


def _patient(wait_out: Callable[[KafkaException], bool]) -> Retrying:
    """Return what asks again, for half a minute, while the client refuses with such an error."""
    deadline = Deadline(PATIENCE)
    again = retry_if_exception(lambda error: isinstance(error, KafkaException) and wait_out(error))
    return Retrying(retry=again, stop=lambda _: deadline.passed(), wait=wait_fixed(0.5), reraise=True)


def _admin(opts: Options) -> AdminClient:
    return AdminClient({"bootstrap.servers": opts["bootstrap.servers"], "log_level": 0})


@contextmanager
def _consumer(opts: Options, group: str = "answers-reader") -> Iterator[Consumer]:
    consumer = Consumer({**opts, "group.id": group, "log_level": 0, "enable.auto.commit": False})
    try:
        yield consumer
    finally:
        consumer.close()


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the client's errors into those of this module."""
    try:
        yield
    except KafkaException as error:
        reason = error.args[0]
        if reason.code() in TOPIC_UNKNOWN:
            raise TopicMissing(f"the topic does not exist ({reason.str()}): `answers kafka up` makes it") from error
        raise BrokerUnavailable(f"Kafka does not answer ({reason.str()}): does it run? `answers kafka up`") from error
