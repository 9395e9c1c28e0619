"""The warehouse of a connection, for operators and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.flights import warehouse

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@contextmanager
def open_warehouse(clickhouse_conn_id: str = "clickhouse_default") -> Iterator[Client]:
    """Open the warehouse with the official `ClickHouseHook`, a server and chDB alike; waits while it is held or down.

    The embedded engine allows one process at a time: a task that opens it belongs in the pool `warehouse`.

    :raises include.flights.warehouse.WarehouseUnavailable: after a minute
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    hook = ClickHouseHook(clickhouse_conn_id=clickhouse_conn_id)
    engine = hook.get_connection(clickhouse_conn_id).extra_dejson.get("client_kwargs", {})
    with warehouse.connect(hook.get_client, engine.get("path")) as client:
        yield client


@contextmanager
def open_scratch(clickhouse_conn_id: str = "clickhouse_default") -> Iterator[Client]:
    """Open an engine for temporary tables: the warehouse's server, or, where that is embedded, one in memory beside it.

    So transformations run side by side where only one process may hold the warehouse.
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    connection = ClickHouseHook.get_connection(clickhouse_conn_id)
    if not connection.extra_dejson.get("client_kwargs", {}).get("path"):
        with open_warehouse(clickhouse_conn_id) as client:
            yield client
        return
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=":memory:")
    try:
        yield client
    finally:
        client.close()
