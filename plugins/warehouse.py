"""Opens the warehouse of a connection, for operators and tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.flights import warehouse

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@contextmanager
def open_warehouse(clickhouse_conn_id: str = "clickhouse_default") -> Iterator[Client]:
    """Open the warehouse with the official `ClickHouseHook`; waits while it is down.

    A task that reads or writes much belongs in a pool that bounds how much the warehouse has to do: `warehouse`, or `fleet`.

    :raises include.flights.warehouse.WarehouseUnavailable: after a minute
    """
    from airflow.providers.clickhousedb.hooks.clickhouse import ClickHouseHook

    with warehouse.connect(ClickHouseHook(clickhouse_conn_id=clickhouse_conn_id).get_client) as client:
        yield client
