"""Opens the warehouse of a connection, for tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@contextmanager
def warehouse_client(conn_id: str = "clickhouse_default") -> Iterator[Client]:
    """A client of the warehouse, a server or the embedded engine alike; waits while it is down or held.

    :raises WarehouseUnavailable: after a minute; worth a retry
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    from include.flights import warehouse

    hook = ClickHouseHook(clickhouse_conn_id=conn_id)
    path = hook.get_connection(conn_id).extra_dejson.get("client_kwargs", {}).get("path")
    with warehouse.connect(hook.get_client, path) as client:
        yield client
