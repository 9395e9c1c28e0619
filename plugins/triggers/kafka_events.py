"""Tells an asset's watcher which offsets have arrived, and commits after Airflow has stored that: KafkaEventsTrigger."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

from airflow.providers.apache.kafka.triggers.shared_stream import (
    KafkaBrokerPayload,
    KafkaSharedStreamProducer,
    KafkaSharedStreamTrigger,
)
from airflow.triggers.base import TriggerEvent

log = logging.getLogger(__name__)
BATCH = 500  # messages in one event, at most
GATHER = 0.05  # seconds that an event waits for more messages


class KafkaEventsProducer(KafkaSharedStreamProducer):
    """The consumer behind the trigger, in a group of its own.

    The stock one makes an event of each message, about two a second on two cores. This one makes an event of what has
    arrived on a partition. It outlives a broker that is away and a topic that is missing.
    """

    def __init__(self, *, group: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group = group
        self._polling = threading.Lock()

    async def open_stream(self) -> AsyncIterator[tuple[Any, KafkaBrokerPayload]]:
        """Yield {"topic", "partition", "first", "last"} of a partition with new messages, and the place to commit once stored."""
        from airflow.providers.apache.kafka.hooks.consume import KafkaConsumerHook
        from confluent_kafka import Consumer

        hook = KafkaConsumerHook(topics=self.topics, kafka_config_id=self.kafka_config_id)
        await self._ensure_manual_commit(hook)
        options = (await hook.aget_connection(self.kafka_config_id)).extra_dejson
        consumer = Consumer({**options, "group.id": self.group})
        consumer.subscribe(self.topics)
        self._consumer = consumer
        while self._consumer:
            messages = await asyncio.to_thread(self._poll_batch, consumer)
            arrived: dict[tuple[str, int], list[int]] = {}
            for message in messages:
                if error := message.error():
                    # The broker is away, or the topic: both come back. Raising would end the watching.
                    log.warning("waiting for %s: %s", ", ".join(self.topics), error.str())
                    await asyncio.sleep(1)
                else:
                    arrived.setdefault((message.topic(), message.partition()), []).append(message.offset())
            for (topic, partition), offsets in arrived.items():
                event = {"topic": topic, "partition": partition, "first": min(offsets), "last": max(offsets)}
                yield event, KafkaBrokerPayload(topic, partition, max(offsets))

    def _poll_batch(self, consumer: Any) -> list[Any]:
        with self._polling:
            if self._consumer is None:  # closed since
                return []
            first = consumer.poll(self.poll_timeout)
            return [] if first is None else [first, *consumer.consume(BATCH - 1, timeout=GATHER)]

    async def aclose(self) -> None:
        """Close the consumer after its last poll, even when this is cancelled meanwhile. Else it stays a member of its group."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await asyncio.shield(asyncio.to_thread(self._close, consumer))
        await super().aclose()

    def _close(self, consumer: Any) -> None:
        with self._polling:
            consumer.close()

    def _commit(self, topic: str, partition: int, offset: int) -> None:
        from confluent_kafka import KafkaException

        try:
            super()._commit(topic, partition, offset)
        except KafkaException as error:
            # What should be committed is stored in Airflow. The next commit covers it, or a restart announces it again.
            log.warning("not committed: %s-%s up to %s: %s", topic, partition, offset, error)


class KafkaEventsTrigger(KafkaSharedStreamTrigger):
    """Fire one event for what has arrived on a partition: {"topic", "partition", "first", "last"}.

    The event is a signal and small; its reader takes the messages from the broker. It comes at least once.

    :param topics: to watch; :param kafka_config_id: a connection with enable.auto.commit=false
    :param group: the consumer group
    """

    def __init__(
        self,
        *,
        topics: Sequence[str],
        group: str,
        kafka_config_id: str = "kafka_default",
        poll_timeout: float = 1.0,
        dlq_topic: str | None = None,
    ) -> None:
        super().__init__(topics=topics, kafka_config_id=kafka_config_id, poll_timeout=poll_timeout, dlq_topic=dlq_topic)
        self.group = group

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {**super().serialize()[1], "group": self.group}

    def shared_stream_key(self) -> Any:
        """Return the key by which triggers on the same topics, connection and group share one consumer."""
        return (*super().shared_stream_key(), self.group)  # type: ignore[misc]

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> KafkaEventsProducer:
        """Give the consumer that triggers of one key share."""
        names = ("group", "topics", "kafka_config_id", "poll_timeout", "dlq_topic")
        return KafkaEventsProducer(**{name: kwargs[name] for name in names if name in kwargs})

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yield one event for each of the producer's."""
        async for arrived in shared_stream:
            yield TriggerEvent(arrived)
