"""Finds the connections for what is no task: the command line, daemons, benches."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from answers.stack.parameters.contents import CONSUMER
from answers.stack.settings import connection, warehouse_options
from include.flight_status.broker import BrokerUnavailable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def open_warehouse(patience: float = 60) -> AbstractContextManager[Client]:
    """Open the warehouse that is configured: ClickHouse's server or the embedded engine.

    :param patience: seconds to wait while it is down, or a task holds the embedded engine
    :raises WarehouseUnavailable: it does not answer
    """
    import clickhouse_connect

    from include.flights import warehouse

    options = warehouse_options()
    return warehouse.connect(lambda: clickhouse_connect.get_client(**options), options.get("path"), patience)


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
