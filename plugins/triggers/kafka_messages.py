"""Waits for a message as the stock trigger does, and always leaves the consumer group when it ends: KafkaMessageTrigger."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow.providers.apache.kafka.triggers.await_message import AwaitMessageTrigger


class KafkaMessageTrigger(AwaitMessageTrigger):
    """Fire when a message comes, see `AwaitMessageTrigger`.

    Airflow cancels a trigger that is still closing its consumer once its event is stored. The stock one's consumer is then
    never closed. It stays a member of its group until `max.poll.interval.ms`, five minutes, and the broker refuses the
    commit of whoever processes the message.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", super().serialize()[1]

    async def cleanup(self) -> None:
        """Close the consumer, even when this is cancelled meanwhile."""
        await asyncio.shield(super().cleanup())
