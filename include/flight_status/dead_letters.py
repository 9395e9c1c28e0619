"""Puts messages that are no events on the dead-letter topic, as they were, with the reason in their headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from include.flight_status import broker
from include.flight_status.produce import open_producer


def send_dead_letters(opts: broker.Options, bad: Iterable[tuple[broker.Message, str]], ids: Mapping[str, str]) -> None:
    """Put messages on the dead-letter topic, each with its reason, and wait until the broker has them.

    :param ids: topic -> its id
    """
    letters = list(bad)
    if not letters:
        return
    with open_producer(opts) as produce:
        for message, reason in letters:
            headers = {
                "reason": reason,
                "topic": message.topic(),
                "topic_id": ids[message.topic()],
                "partition": str(message.partition()),
                "offset": str(message.offset()),
            }
            produce(broker.DEAD_LETTER_TOPIC, message.key(), message.value(), headers)
