"""Finds the connections for what is no task: the command line, daemons, benches."""

from __future__ import annotations

import json
import os
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from answers.stack.dotenv import LOOPBACK
from answers.stack.parameters.contents import CONSUMER
from answers.stack.processes import supervisor_process
from answers.stack.settings import Settings
from include.flight_status.broker import BrokerUnavailable
from include.flights import warehouse
from include.waiting import Deadline

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def open_warehouse(patience: float | Deadline = 60) -> AbstractContextManager[Client]:
    """Open the warehouse that is configured, as a task would.

    :param patience: seconds to wait, or their end, while it is down
    :raises WarehouseUnavailable: it does not answer, or is that of a stack that is stopped
    """
    import clickhouse_connect
    from clickhouse_connect.driver.httputil import get_pool_manager

    options = warehouse_options()
    if options.get("host") == LOOPBACK:
        options["pool_mgr"] = get_pool_manager()  # whatever proxy the environment has
        settings = Settings.load()
        own = settings.clickhouse is None and options.get("port") == settings.ports.get("warehouse")
        if own and supervisor_process(settings) is None:
            raise warehouse.WarehouseUnavailable("the stack is not running: `answers up`")
    return warehouse.connect(lambda: clickhouse_connect.get_client(**options), patience)


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


def warehouse_options() -> dict[str, Any]:
    """Return what clickhouse_connect.get_client is given for the environment's warehouse, else for the embedded one."""
    found = connection("clickhouse_default") or {}
    options: dict[str, Any] = dict(found.get("extra", {}).get("client_kwargs", {}))
    for key, ours in (("host", "host"), ("port", "port"), ("username", "login"), ("password", "password")):
        if found.get(ours):
            options[key] = found[ours]
    return options


def connection(name: str) -> dict[str, Any] | None:
    """Look up a connection for the command line: the environment's, that of the Airflow beside it, else the embedded stack's."""
    if given := os.environ.get(f"AIRFLOW_CONN_{name.upper()}"):
        return dict(json.loads(given))
    if os.environ.get("AIRFLOW__SECRETS__BACKEND"):  # a process of Airflow, or beside one in its container
        from airflow.sdk import Connection

        found = Connection.get(name)
        keys = ("host", "port", "login", "password")
        return {"extra": found.extra_dejson, **{key: getattr(found, key) for key in keys}}
    return Settings.load().stored_connections().get(name)
