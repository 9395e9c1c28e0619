"""ClickHouse for tasks: the warehouse, and an engine to compute with that nobody else waits for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

WAREHOUSE = "clickhouse_default"


@contextmanager
def warehouse(conn_id: str = WAREHOUSE) -> Iterator[Client]:
    """The warehouse of a connection, through the official hook. One process at a time holds an embedded one.

    :raises WarehouseUnavailable: it is down, or held for longer than a minute
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    from include.flights.warehouse import connect

    hook = ClickHouseHook(clickhouse_conn_id=conn_id)
    with connect(hook.get_client, _embedded_at(hook, conn_id)) as client:
        yield client


@contextmanager
def scratch(conn_id: str = WAREHOUSE) -> Iterator[Client]:
    """An engine for temporary tables: the warehouse's server, or, where that is embedded, one in memory beside it.

    So transformations run side by side where only one process may hold the warehouse.
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    hook = ClickHouseHook(clickhouse_conn_id=conn_id)
    if _embedded_at(hook, conn_id) is None:
        with warehouse(conn_id) as client:
            yield client
        return
    import clickhouse_connect

    client = clickhouse_connect.get_client(interface="chdb", path=":memory:")
    try:
        yield client
    finally:
        client.close()


def _embedded_at(hook: Any, conn_id: str) -> str | None:
    return hook.get_connection(conn_id).extra_dejson.get("client_kwargs", {}).get("path")
