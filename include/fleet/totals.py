"""What the fleet computes from the carriers' published partitions: reports, roll-ups, the scorecard.

Each is one partition of one table: computed into a staging table, validated against the carriers' own daily figures,
swapped in atomically. Doing it again gives the same contents.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.flights.warehouse import (
    CARRIERS,
    Layout,
    ValidationError,
    create_tables,
    drop_forgotten,
    replace_partition,
    staging_tables,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SQL = Path(__file__).parent / "sql"
PARTITIONS = {
    "airports": ("flight_date", "rollup"),
    "hours": ("flight_date", "rollup"),
    "reports": ("flight_date", "carrier"),
    "scorecard": ("flight_date",),
}
EXPECTED = (
    "SELECT sum(flights) FROM warehouse.carrier_daily_delays "
    "WHERE flight_date = {day:Date} AND has({of:Array(String)}, carrier)"
)


def publish(
    client: Client, table: str, day: date, carriers: list[str], run: str, keys: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Compute one partition of warehouse.fleet_TABLE from these carriers' flights of the day, and swap it in.

    :param table: airports, hours, reports or scorecard
    :param run: identifies the DAG run
    :param keys: the partition's columns beside the day, column -> value
    :returns: {"first_day", "last_day": the day, "table", "rows", "flights"}
    :raises ValidationError: the flights are not as many as the carriers' own figures say; nothing was published
    """
    layout = Layout("fleet_", (table,), PARTITIONS[table])
    partition = {"flight_date": str(day), **(keys or {})}
    parameters = {"day": day, "carriers": carriers, **(keys or {})}
    create_tables(client, CARRIERS)
    client.command((SQL / f"{table}.ddl.sql").read_text())
    drop_forgotten(client)
    with staging_tables(client, " ".join([run, *partition.values()]), layout) as staged:
        staging = staged[table]
        client.command(f"INSERT INTO {staging} {(SQL / f'{table}.sql').read_text()}", parameters=parameters)
        rows, flights = client.query(f"SELECT count(), sum(flights) FROM {staging}").result_rows[0]
        wanted = client.query(EXPECTED, parameters={"day": day, "of": carriers}).result_rows[0][0]
        if flights != wanted:
            raise ValidationError(f"not published, fleet_{table}: {flights} flights, the carriers have {wanted}")
        replace_partition(client, f"warehouse.fleet_{table}", staging, partition)
    return {"first_day": str(day), "last_day": str(day), "table": f"fleet_{table}", "rows": rows, "flights": flights}
