"""Reads the dead-letter topic, and replays what is on it: each message as it was, to the topic that it came from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.flight_status import broker
from include.flight_status.produce import open_producer

GROUP = "answers-replay"


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter: where it lies (`offset` on the dead-letter topic's `partition`), where it came from, and why."""

    partition: int
    offset: int
    reason: str
    topic: str
    source: str  # TOPIC-PARTITION-OFFSET
    key: bytes | None
    value: bytes | None


def read_dead_letters(opts: broker.Options, group: str | None = None) -> Iterator[DeadLetter]:
    """Yield the dead letters, oldest first in each partition; with a group those that it has not committed."""
    now = broker.find_topic(opts, broker.DEAD_LETTER_TOPIC)
    starts = broker.committed_offsets(opts, broker.DEAD_LETTER_TOPIC, group) if group else {}
    yield from _letters(opts, broker.slices_to_read(now, starts))


def _letters(opts: broker.Options, slices: list[broker.Slice]) -> Iterator[DeadLetter]:
    for batch in broker.read_batches(opts, slices):
        for each in batch:
            said: dict[str, Any] = {
                name: (value or b"").decode("utf-8", "replace") for name, value in each.headers() or []
            }
            source = "-".join(said.get(name, "?") for name in ("topic", "partition", "offset"))
            reason, topic = said.get("reason", "none given"), said.get("topic", "")
            yield DeadLetter(each.partition(), each.offset(), reason, topic, source, each.key(), each.value())


def replay_dead_letters(opts: broker.Options) -> int:
    """Send every dead letter that was not yet replayed to its topic again, as it was. Returns how many.

    Their offsets are committed after; killed in between, some are sent twice, which is one effect. A message that is
    still no event comes back as a new dead letter, behind the end that this replay has seen.
    """
    now = broker.find_topic(opts, broker.DEAD_LETTER_TOPIC)
    todo = broker.slices_to_read(now, broker.committed_offsets(opts, broker.DEAD_LETTER_TOPIC, GROUP))
    count = 0
    with open_producer(opts) as produce:
        for letter in _letters(opts, todo):
            if letter.topic:
                produce(letter.topic, letter.key, letter.value, {"replayed_from": letter.source})
                count += 1
    broker.commit_offsets(opts, GROUP, todo)
    return count
