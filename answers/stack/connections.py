"""Finds the connections for what is no task: the command line, daemons, benches."""

from __future__ import annotations

import os
from typing import Any

from answers.stack.parameters.contents import CONSUMER
from answers.stack.settings import connection
from include.flight_status.broker import BrokerUnavailable


def kafka_options() -> dict[str, Any]:
    """Return the options of `kafka_default`: of ANSWERS_KAFKA (host:port), of the environment, or of the embedded stack.

    :raises BrokerUnavailable: the embedded stack has no broker
    """
    if address := os.environ.get("ANSWERS_KAFKA"):
        return {**CONSUMER, "bootstrap.servers": address}
    found = connection("kafka_default")
    if found is None:
        raise BrokerUnavailable("there is no Kafka yet: run `answers up`, then `answers kafka up`")
    return {**CONSUMER, **found["extra"]}
