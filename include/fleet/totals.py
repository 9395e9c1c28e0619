"""Computes the fleet's totals from the carriers' published partitions: reports, roll-ups, the scorecard.

Each is one partition of one table. It is computed into a staging table, validated against the carriers' own daily figures,
and swapped in atomically. Doing it again gives the same contents. `compare_totals` finds the days that are missing or out of
date.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.fleet.model import Fleet, Member, Product
from include.flights.warehouse import (
    CARRIERS,
    FINGERPRINT,
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
FIRST, LAST = date(1970, 1, 1), date(2149, 6, 6)  # what ClickHouse's Date can hold
CURRENT, DIFFERS, MISSING = "current", "differs", "missing"
INCONSISTENT = -1  # in place of a number of flights: the carrier's two tables disagree
EXPECTED_FLIGHTS = (
    "SELECT sum(flights) FROM warehouse.carrier_daily_delays "
    "WHERE flight_date = {day:Date} AND has({of:Array(String)}, carrier)"
)


def publish_totals(
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
    parameters = {"first": day, "last": day, "carriers": carriers, **(keys or {})}
    _create(client, table)
    drop_forgotten(client)
    with staging_tables(client, " ".join([run, *partition.values()]), layout) as staged:
        staging = staged[table]
        client.command(f"INSERT INTO {staging} {(SQL / f'{table}.sql').read_text()}", parameters=parameters)
        rows, flights = client.query(f"SELECT count(), sum(flights) FROM {staging}").result_rows[0]
        wanted = client.query(EXPECTED_FLIGHTS, parameters={"day": day, "of": carriers}).result_rows[0][0]
        if flights != wanted:
            raise ValidationError(f"not published, fleet_{table}: {flights} flights, the carriers have {wanted}")
        replace_partition(client, f"warehouse.fleet_{table}", staging, partition)
    return {"first_day": str(day), "last_day": str(day), "table": f"fleet_{table}", "rows": rows, "flights": flights}


def compare_totals(client: Client, product: Product, first: date = FIRST, last: date = LAST) -> dict[date, str]:
    """Compare the published days of a product with what its SQL makes of the carriers' partitions at this moment.

    :returns: day -> CURRENT, DIFFERS or MISSING, for each day that either of the two has
    """
    table, carriers, keys = product
    _create(client, table)
    query = (SQL / f"{table}.sql").read_text()
    of_keys = "".join(f" AND {column} = {{{column}:String}}" for column in keys)
    stored = (
        f"SELECT * FROM warehouse.fleet_{table} WHERE flight_date BETWEEN {{first:Date}} AND {{last:Date}}{of_keys}"
    )
    sides = " UNION ALL ".join(
        f"SELECT {side} AS side, flight_date, {FINGERPRINT} FROM ({rows}) GROUP BY flight_date"
        for side, rows in ((0, query), (1, stored))
    )
    rows = client.query(
        f"SELECT flight_date, sum(side), count(), uniqExact(rows, hash) FROM ({sides}) GROUP BY flight_date ORDER BY flight_date",
        parameters={"first": first, "last": last, "carriers": carriers, **keys},
    ).result_rows
    return {
        day: MISSING if not there else CURRENT if (sides, contents) == (2, 1) else DIFFERS
        for day, there, sides, contents in rows
    }


def flights_published(client: Client, first: date = FIRST, last: date = LAST) -> dict[tuple[str, date], int]:
    """Count the flights of each carrier's published days: (carrier, day) -> flights.

    INCONSISTENT where its flights and its daily figures disagree: a publication is under way, or was killed between the two.
    """
    create_tables(client, CARRIERS)
    days = "WHERE flight_date BETWEEN {first:Date} AND {last:Date} GROUP BY flight_date, carrier"
    rows = client.query(
        "SELECT carrier, flight_date, sum(of_flights), sum(of_figures) FROM ("
        f"SELECT carrier, flight_date, count() AS of_flights, 0 AS of_figures FROM warehouse.carrier_flights {days} UNION ALL "
        f"SELECT carrier, flight_date, 0, sum(flights) FROM warehouse.carrier_daily_delays {days}) GROUP BY carrier, flight_date",
        parameters={"first": first, "last": last},
    ).result_rows
    return {(carrier, day): flights if flights == figures else INCONSISTENT for carrier, day, flights, figures in rows}


def missed_days(client: Client, fleet: Fleet, member: Member) -> list[date]:
    """Find the days that a member which events start has not published although its upstream has.

    Airflow gives no event to a paused DAG, and of several events between two looks of the scheduler it hands over the first.
    A day that is there in another version is left to an event about it, or to `answers fleet repair`.
    """
    (upstream,) = (each for each in fleet.members if each.dag_id == member.waits_for[0])
    if made := fleet.products(upstream):
        states = [compare_totals(client, product) for product in made]
        ready = {day for day in states[0] if all(each.get(day) == CURRENT for each in states)}
    else:
        ready = {
            day
            for (carrier, day), flights in flights_published(client).items()
            if carrier == member.key and flights > 0
        }
    found = (compare_totals(client, product) for product in fleet.products(member))
    return sorted({day for states in found for day, state in states.items() if state == MISSING and day in ready})


def _create(client: Client, table: str) -> None:
    create_tables(client, CARRIERS)
    client.command((SQL / f"{table}.ddl.sql").read_text())
