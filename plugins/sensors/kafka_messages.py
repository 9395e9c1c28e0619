"""Waits for a message with a trigger that always leaves its consumer group: KafkaMessageSensor."""

from __future__ import annotations

from typing import Any, Never

from airflow.providers.apache.kafka.sensors.kafka import AwaitMessageSensor
from airflow.triggers.base import BaseTrigger

from plugins.triggers.kafka_messages import KafkaMessageTrigger


class KafkaMessageSensor(AwaitMessageSensor):
    """Wait for a message, see `AwaitMessageSensor`, by a `KafkaMessageTrigger`."""

    def defer(self, *, trigger: BaseTrigger, **kwargs: Any) -> Never:
        """Defer to this project's trigger, with the stock one's arguments."""
        super().defer(trigger=KafkaMessageTrigger(**trigger.serialize()[1]), **kwargs)
