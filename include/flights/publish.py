"""Publishes days: staging tables, validation, then one atomic REPLACE PARTITION a table and day.

Every table of a day is loaded and validated in staging before the first partition is replaced, so a reader sees the old day or
the new one and a bad day never shows. Doing it again gives the same contents.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
from include.flights import versions
from include.flights.warehouse import (
    ANY_NUMBER_OF_DAYS,
    DAYS,
    KEYS,
    Layout,
    ValidationError,
    column_names,
    create_tables,
    drop_forgotten,
    load_parquet,
    query_number,
    replace_partition,
    staging_tables,
)

# Midnight of a day in New York, in ClickHouse's SQL.
LOCAL_MIDNIGHT = "toDateTime(toString({{{day}:Date}}) || ' 00:00:00', 'America/New_York')"

# Each rule: what must hold -> a condition, true for the rows of the staged table that break it.
RULES = {
    "flights": {
        "flight_date lies in the interval": "flight_date < {first:Date} OR flight_date > {last:Date}",
        "sched_dep_utc lies in the interval": f"sched_dep_utc < {LOCAL_MIDNIGHT.format(day='first')} "
        f"OR sched_dep_utc >= addDays({LOCAL_MIDNIGHT.format(day='last')}, 1)",
        "carrier, origin and dest are known": "empty(carrier) OR empty(origin) OR empty(dest)",
        "a cancelled flight has no delays": "cancelled AND (dep_delay IS NOT NULL OR arr_delay IS NOT NULL)",
        "a departed flight has a departure delay": "NOT cancelled AND dep_delay IS NULL",
        "a flight arrives after it departs": "sched_arr_utc < sched_dep_utc",
    },
    "daily_delays": {
        "flight_date lies in the interval": "flight_date < {first:Date} OR flight_date > {last:Date}",
        "cancelled <= flights": "cancelled > flights OR flights = 0",
        "on_time_share lies in [0, 1]": "on_time_share < 0 OR on_time_share > 1",
        "delays are known where a flight departed": "(mean_dep_delay IS NULL) != (cancelled = flights)",
    },
    "delay_features": {
        "flight_date lies in the interval": "flight_date < {first:Date} OR flight_date > {last:Date}",
        "a feature is not negative": "distance = 0 OR departures_in_hour = 0 OR sched_minutes < 0",
    },
}


def validate_staged(
    client: Client,
    staged: dict[str, str],
    first: date,
    last: date,
    rows: int,
    slice: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Check what is staged: row counts, keys, nulls, bounds of the interval and of the slice.

    :param staged: table -> staging table
    :param rows: records that the feed had for the interval
    :param slice: column -> the one value that it may have
    :returns: rows staged, per table
    :raises ValidationError: listing every rule that does not hold, with the first offending row
    """
    broken, counts = [], {}
    parameters: dict[str, Any] = {"first": first, "last": last, **(slice or {})}
    of_slice = {f"{column} is that of the slice": f"{column} != {{{column}:String}}" for column in slice or {}}
    for table, staging in staged.items():
        keys = ", ".join(KEYS[table])
        counts[table], twice = client.query(_count_query(staging, KEYS[table])).result_rows[0]
        if twice:
            broken.append(f"{table}: ({keys}) is not unique, {twice} rows too many")
        for rule, condition in {**RULES[table], **of_slice}.items():
            example = "toString((" + ", ".join((*KEYS[table], *(("source_row",) * (table == "flights")))) + "))"
            sql = f"SELECT count(), min({example}) FROM {staging} WHERE {condition}"
            bad, one = client.query(sql, parameters=parameters).result_rows[0]
            if bad:
                broken.append(f"{table}: {rule}: not so in {bad} rows, e.g. {one}")
    of_flights: dict[str, int] = {table: counts[table] for table in ("flights", "delay_features") if table in counts}
    of_flights["daily_delays.flights"] = query_number(client, f"SELECT sum(flights) FROM {staged['daily_delays']}")
    for table, found in of_flights.items():
        if found != rows:
            broken.append(f"{table}: {found} rows for {rows} in the feed")
    if broken:
        raise ValidationError("not published, " + "; ".join(broken))
    return counts


def _count_query(table: str, keys: Collection[str]) -> str:
    """Word the query that counts rows and duplicate keys.

    The table is sorted by key, so duplicates are neighbours; looking for these takes a quarter of the CPU of uniqExact.
    """
    before = ", ".join(f"lagInFrame({key}) OVER place AS before_{key}" for key in keys)
    same = " AND ".join(f"{key} = before_{key}" for key in keys)
    return (
        f"SELECT count(), countIf(follows AND {same}) FROM (SELECT {', '.join(keys)}, {before}, "
        f"lagInFrame(true) OVER place AS follows FROM {table} "
        f"WINDOW place AS (ORDER BY {', '.join(keys)} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW))"
    )


def publish_day(
    client: Client,
    folder: Path | None,
    first: date,
    last: date,
    rows: int,
    run: str,
    layout: Layout = DAYS,
    slice: Mapping[str, str] | None = None,
    tables: Collection[str] | None = None,
) -> dict[str, object]:
    """Publish what the transform made of the days first..last (one, for a daily run).

    :param folder: where it left files, in FOLDER/transformed; None where it left the tables of `engine.computed_tables`
    :param rows: records that the feed had for these days
    :param run: identifies the DAG run
    :param slice: of a layout that is partitioned by more than the day: those columns' values
    :param tables: of the layout, those to publish; all when None. All are validated, since they must agree
    :returns: what was published and what could not be joined, as counts
    :raises ValidationError: nothing was published, or the slice is not one of this layout
    :raises include.flights.warehouse.TransformMissing: nothing to publish
    """
    started = time.perf_counter()
    slice = dict(slice or {})
    if set(slice) != set(layout.partition[1:]):
        raise ValidationError(f"partitions by {', '.join(layout.partition)} need a slice of these columns, not {slice}")
    files = folder and (folder / "transformed").resolve()  # one attempt's, even if another one finishes meanwhile
    create_tables(client, layout)
    drop_forgotten(client)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    with staging_tables(client, " ".join([run, str(first), *slice.values()]), layout) as staged:
        for table, staging in staged.items():
            if files:
                load_parquet(client, staging, files / table)
            else:
                columns = ", ".join(column_names(client, staging))
                sql = f"INSERT INTO {staging} ({columns}) SELECT {columns} FROM {table}"
                client.command(sql, settings=ANY_NUMBER_OF_DAYS)
        counts = validate_staged(client, staged, first, last, rows, slice)
        known = client.query(
            "SELECT countIf(cancelled), countIf(NOT weather_known), countIf(NOT plane_known), "
            f"countIf(sched_arr_utc IS NULL), max(dep_delay) FROM {staged['flights']}"
        ).result_rows[0]
        chosen = {table: staging for table, staging in staged.items() if tables is None or table in tables}
        new, numbers = versions.keep_version(client, chosen, days, run) if layout is DAYS else ([], {})
        for table, staging in chosen.items():
            for day in days:
                values = {"flight_date": str(day), **slice}
                partition = {column: values[column] for column in layout.partition}
                replace_partition(client, f"warehouse.{layout.prefix}{table}", staging, partition)
        versions.record_events(client, new)
    names = ("cancelled", "without_weather", "without_plane", "without_arrival_zone", "worst_dep_delay")
    report = {"first_day": str(first), "last_day": str(last), "rows_in": rows, "published": counts, "slice": slice}
    report["versions"] = numbers
    return {**report, **dict(zip(names, known, strict=True)), "seconds": round(time.perf_counter() - started, 3)}
