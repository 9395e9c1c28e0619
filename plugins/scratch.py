"""An engine to compute with that nobody else waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@contextmanager
def open_scratch(clickhouse_conn_id: str = "clickhouse_default") -> Iterator[Client]:
    """An engine for temporary tables: the warehouse's server, or, where that is embedded, one in memory beside it.

    So transformations run side by side where only one process may hold the warehouse.
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    from plugins.warehouse import open_warehouse

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
