"""The loader: staging table -> validation -> atomic REPLACE PARTITION, in ClickHouse (a server or chDB alike).

A partition is one local day. Every table of a day is loaded and validated in staging before the first partition is
replaced, so a reader sees the old day or the new one and a bad day never shows. Doing it again gives the same contents.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

DDL = Path(__file__).resolve().parent / "sql" / "warehouse"
KEYS = {
    "flights": ("sched_dep_utc", "carrier", "flight"),
    "daily_delays": ("flight_date", "origin", "carrier"),
    "delay_features": ("sched_dep_utc", "carrier", "flight"),
}
# All rows and columns in two numbers, whatever the order of the rows. By way of text: a hash of a NULL is NULL, and a sum
# passes over it.
FINGERPRINT = "count() AS rows, hex(sum(cityHash64(toString(tuple(*))))) AS hash"
STAGING = "staging__"
ANY_NUMBER_OF_DAYS = {"max_partitions_per_insert_block": 0}  # ClickHouse refuses more than 100 by default
FORGOTTEN = timedelta(days=1)  # a staging table of this age belongs to a run that will not come back


class ValidationError(ValueError):
    """What was staged may not be published; the published partition is untouched."""


class WarehouseUnavailable(ConnectionError):
    """ClickHouse is down, or another process holds the embedded engine. Trying again may help."""


# Each rule: what must hold -> a query over the staged tables that counts the rows which break it.
LOCAL_MIDNIGHT = "toDateTime(toString({{{day}:Date}}) || ' 00:00:00', 'America/New_York')"
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


@contextmanager
def connect(get_client: Callable[[], Client], path: str | None = None, patience: float = 60) -> Iterator[Client]:
    """Open the warehouse, waiting while it is down or held.

    :param get_client: opens it, e.g. `ClickHouseHook().get_client`
    :param path: of the embedded engine, which one process may hold at a time; None for a server
    :param patience: seconds to wait
    :raises WarehouseUnavailable: saying who holds it, or why it does not answer
    """
    from clickhouse_connect.driver.exceptions import Error
    from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_exponential

    def attempt() -> Client:
        if path and (holder := held_by(Path(path))):
            raise WarehouseUnavailable(f"the embedded warehouse {path} is held by {holder}: wait for it, or end it")
        try:
            client = get_client()
            client.command("SELECT 1")
        except (Error, OSError) as error:
            raise WarehouseUnavailable(f"the warehouse does not answer: {error}") from error
        return client

    client = Retrying(
        retry=retry_if_exception_type(WarehouseUnavailable),
        stop=stop_after_delay(patience),
        wait=wait_exponential(multiplier=0.2, max=5),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )(attempt)
    try:
        yield client
    finally:
        client.close()


def held_by(path: Path) -> str | None:
    """The process that holds the embedded engine at `path`, in words; None when it is free."""
    try:
        with (path / "status").open("rb") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)  # the engine holds an exclusive lock on it
            except BlockingIOError:
                lines = status.read().decode(errors="replace").splitlines()
                return next((line.replace("PID: ", "process ") for line in lines if "PID" in line), "another process")
    except FileNotFoundError:
        pass
    return None


def embedded(client: Client) -> bool:
    """Whether the client's engine runs in this process (chDB) and so reads this machine's files."""
    return str(client.uri).startswith("chdb:")


def create_tables(client: Client) -> None:
    """Create the database and the tables where they are missing."""
    client.command("CREATE DATABASE IF NOT EXISTS warehouse")
    for table in KEYS:
        client.command((DDL / f"{table}.sql").read_text())


def staging_name(table: str, run: str) -> str:
    """The staging table of one run: its retry finds and replaces it, another run never meets it."""
    return f"warehouse.{STAGING}{table}__{sha256(run.encode()).hexdigest()[:12]}"


@contextmanager
def staging_tables(client: Client, run: str) -> Iterator[dict[str, str]]:
    """Empty staging tables for the run, by table; dropped at the end, or by the retry of a run that was killed."""
    names = {table: staging_name(table, run) for table in KEYS}
    try:
        for table, name in names.items():
            client.command(f"DROP TABLE IF EXISTS {name} SYNC")
            client.command(f"CREATE TABLE {name} AS warehouse.{table}")
        yield names
    finally:
        for name in names.values():
            client.command(f"DROP TABLE IF EXISTS {name} SYNC")


def drop_forgotten(client: Client) -> int:
    """Drop staging tables of runs that were killed and never retried. Returns how many."""
    old = client.query(
        "SELECT name FROM system.tables WHERE database = 'warehouse' AND startsWith(name, {prefix:String}) "
        "AND metadata_modification_time < now() - {seconds:Int32}",
        parameters={"prefix": STAGING, "seconds": int(FORGOTTEN.total_seconds())},
    ).result_rows
    for (name,) in old:
        client.command(f"DROP TABLE IF EXISTS warehouse.`{name}` SYNC")
    return len(old)


def load_parquet(client: Client, table: str, folder: Path) -> None:
    """Append FOLDER/*.parquet to a table: read in place by the embedded engine, streamed to a server.

    :raises FileNotFoundError: the folder holds no Parquet file
    """
    files = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith((".", "_")))
    if not files:
        raise FileNotFoundError(f"{folder} holds no Parquet file: did the transform run? Clear it to run it again")
    columns = ", ".join(name for (name,) in client.query(f"SELECT name FROM system.columns {_of(table)}").result_rows)
    for file in files:
        if embedded(client):
            source = str(file).replace("\\", "\\\\").replace("'", "\\'")
            sql = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM file('{source}', 'Parquet')"
            client.command(sql, settings=ANY_NUMBER_OF_DAYS)
        else:
            with file.open("rb") as stream:
                client.raw_insert(table, insert_block=stream, fmt="Parquet", settings=ANY_NUMBER_OF_DAYS)


def validate(client: Client, staged: dict[str, str], first: date, last: date, rows: int) -> dict[str, int]:
    """Check what is staged: row counts, keys, nulls, bounds of the interval.

    :param staged: table -> staging table
    :param rows: records that the feed had for the interval
    :returns: rows staged, per table
    :raises ValidationError: listing every rule that does not hold, with the first offending row
    """
    broken, counts = [], {}
    parameters = {"first": first, "last": last}
    for table, staging in staged.items():
        keys = ", ".join(KEYS[table])
        counts[table], different = client.query(f"SELECT count(), uniqExact({keys}) FROM {staging}").result_rows[0]
        if counts[table] != different:
            broken.append(f"{table}: ({keys}) is not unique, {counts[table] - different} rows too many")
        for rule, condition in RULES[table].items():
            example = "toString((" + ", ".join((*KEYS[table], *(("source_row",) * (table == "flights")))) + "))"
            sql = f"SELECT count(), min({example}) FROM {staging} WHERE {condition}"
            bad, one = client.query(sql, parameters=parameters).result_rows[0]
            if bad:
                broken.append(f"{table}: {rule}: not so in {bad} rows, e.g. {one}")
    for table, found in (
        ("flights", counts["flights"]),
        ("delay_features", counts["delay_features"]),
        ("daily_delays.flights", _number(client, f"SELECT sum(flights) FROM {staged['daily_delays']}")),
    ):
        if found != rows:
            broken.append(f"{table}: {found} rows for {rows} in the feed")
    if broken:
        raise ValidationError("not published, " + "; ".join(broken))
    return counts


def replace_partition(client: Client, table: str, staging: str, day: date) -> None:
    """Replace one day of a table by what is staged for it, atomically; a day without rows becomes empty."""
    partition = f"'{day.isoformat()}'"
    if _number(client, f"SELECT count() FROM {staging} WHERE flight_date = {partition}"):
        client.command(f"ALTER TABLE warehouse.{table} REPLACE PARTITION {partition} FROM {staging}")
    else:  # ClickHouse refuses REPLACE PARTITION from an empty source
        client.command(f"ALTER TABLE warehouse.{table} DROP PARTITION {partition}")


def publish_day(client: Client, folder: Path, first: date, last: date, rows: int, run: str) -> dict[str, object]:
    """Publish what the transform left in FOLDER/transformed for the days first..last (one, for a daily run).

    :param rows: records that the feed had for these days
    :param run: identifies the DAG run
    :returns: what was published and what could not be joined, as counts
    :raises ValidationError: nothing was published; :raises FileNotFoundError: nothing to publish
    """
    started = time.perf_counter()
    folder = (folder / "transformed").resolve()  # one attempt's files, even if another one finishes meanwhile
    create_tables(client)
    drop_forgotten(client)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    with staging_tables(client, run) as staged:
        for table, staging in staged.items():
            load_parquet(client, staging, folder / table)
        counts = validate(client, staged, first, last, rows)
        known = client.query(
            "SELECT countIf(cancelled), countIf(NOT weather_known), countIf(NOT plane_known), "
            f"countIf(sched_arr_utc IS NULL), max(dep_delay) FROM {staged['flights']}"
        ).result_rows[0]
        for table, staging in staged.items():
            for day in days:
                replace_partition(client, table, staging, day)
    names = ("cancelled", "without_weather", "without_plane", "without_arrival_zone", "worst_dep_delay")
    report = {"first_day": str(first), "last_day": str(last), "rows_in": rows, "published": counts}
    return {**report, **dict(zip(names, known, strict=True)), "seconds": round(time.perf_counter() - started, 3)}


def _number(client: Client, sql: str) -> int:
    return int(client.query(sql).result_rows[0][0])


def _of(table: str) -> str:
    database, name = table.split(".")
    return f"WHERE database = '{database}' AND table = '{name}' ORDER BY position"
