"""Sends messages to Kafka, and tells when some of them did not arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Producer

from include.flight_status import broker

Produce = Callable[[str, bytes | None, bytes | None, Mapping[str, str] | None], None]


@contextmanager
def open_producer(opts: broker.Options) -> Iterator[Produce]:
    """Give a function that queues a message: (topic, key, value, headers). At the end the broker has all of them.

    :raises broker.BrokerUnavailable: some are not; which ones, nobody can tell
    """
    failed = []

    def delivered(error: object, _: object) -> None:
        if error:
            failed.append(error)

    producer = Producer(
        {
            "bootstrap.servers": opts["bootstrap.servers"],
            "enable.idempotence": True,  # and so acks=all: a retry of the client's own doubles nothing
            "message.max.bytes": broker.LARGEST_MESSAGE,
            "delivery.timeout.ms": 120_000,
            "reconnect.backoff.max.ms": 1000,
            "linger.ms": 5,
            "log_level": 0,
        }
    )

    def produce(topic: str, key: bytes | None, value: bytes | None, headers: Mapping[str, str] | None = None) -> None:
        pairs: list[tuple[str, str | bytes | None]] = list((headers or {}).items())
        while True:
            try:
                producer.produce(topic, value=value, key=key, headers=pairs, on_delivery=delivered)
                break
            except BufferError:  # the queue is full
                producer.poll(0.5)
        producer.poll(0)

    yield produce
    left = producer.flush(120)
    if failed or left:
        why = failed[0] if failed else "no answer"
        raise broker.BrokerUnavailable(f"{len(failed) + left} messages were not delivered ({why}): send them again")
