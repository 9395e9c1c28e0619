"""Creates the warehouse's tables and staging tables, loads Parquet files, and replaces a partition in one step.

A partition is one local day. publish.py validates what is staged, and says when a partition is replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import PermanentError
from include.waiting import Deadline, poll

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

DDL = Path(__file__).resolve().parent / "sql" / "warehouse"
KEYS = {
    "flights": ("sched_dep_utc", "carrier", "flight"),
    "daily_delays": ("flight_date", "origin", "carrier"),
    "delay_features": ("sched_dep_utc", "carrier", "flight"),
}


@dataclass(frozen=True)
class Layout:
    """Describes what a publication fills: tables called `prefix` + a name of KEYS, and the columns that make one partition."""

    prefix: str
    tables: tuple[str, ...]
    partition: tuple[str, ...]

    def ddl(self, table: str) -> str:
        """Return the statement that creates one of the tables."""
        text = (DDL / f"{table}.sql").read_text()
        text = text.replace(f"warehouse.{table}\n", f"warehouse.{self.prefix}{table}\n", 1)
        return text.replace("PARTITION BY flight_date\n", f"PARTITION BY ({', '.join(self.partition)})\n", 1)


DAYS = Layout("", tuple(KEYS), ("flight_date",))
# A slice is published alone. delay_features is not among the tables: it counts departures over all slices of an hour.
CARRIERS = Layout("carrier_", ("flights", "daily_delays"), ("flight_date", "carrier"))
CHUNKS = Layout("chunk_", ("flights", "daily_delays"), ("flight_date", "origin", "carrier"))
# Generated days (question 7), which must not stand among the real ones. They have no versions.
GENERATED = Layout("generated_", tuple(KEYS), ("flight_date",))
LAYOUTS = {"days": DAYS, "carriers": CARRIERS, "chunks": CHUNKS, "generated": GENERATED}
# Fingerprint of a table, whatever the order of its rows. Hash rows as text: cityHash64(NULL) is NULL, and sum() would skip it.
FINGERPRINT = "count() AS rows, hex(sum(cityHash64(toString(tuple(*))))) AS hash"
STAGING = "staging__"
ANY_NUMBER_OF_DAYS = {"max_partitions_per_insert_block": 0}  # ClickHouse refuses more than 100 by default
FORGOTTEN = timedelta(days=1)  # a staging table of this age belongs to a run that will not come back


class ValidationError(PermanentError, ValueError):
    """Says that what was staged may not be published. The published partition is untouched."""


class TransformMissing(PermanentError, FileNotFoundError):
    """The transform left no Parquet file to load, so it has to run again first."""


class WarehouseUnavailable(ConnectionError):
    """The warehouse is down. Trying again may help."""


@contextmanager
def connect(get_client: Callable[[], Client], patience: float | Deadline = 60) -> Iterator[Client]:
    """Open the warehouse, waiting while it is down.

    :param get_client: opens it, e.g. `ClickHouseHook().get_client`; the client asks the server for its version at once
    :param patience: seconds to wait (include/waiting.py)
    :raises WarehouseUnavailable: saying why it does not answer
    """
    from clickhouse_connect.driver.exceptions import Error

    failed: Exception | None = None
    for _ in poll(patience):
        try:
            client = get_client()
            break
        except (Error, OSError) as error:
            if failed is None:
                log.warning("waiting, the warehouse does not answer: %s", error)
            failed = error
    else:
        raise WarehouseUnavailable(f"the warehouse does not answer: {failed}") from failed
    try:
        yield client
    finally:
        client.close()


def create_tables(client: Client, layout: Layout = DAYS) -> None:
    """Create the database and the tables where they are missing."""
    client.command("CREATE DATABASE IF NOT EXISTS warehouse")
    for table in layout.tables:
        client.command(layout.ddl(table))


def staging_name(table: str, run: str) -> str:
    """Name the staging table of one run: its retry finds and replaces it, another run never meets it."""
    return f"warehouse.{STAGING}{table}__{sha256(run.encode()).hexdigest()[:12]}"


@contextmanager
def staging_tables(client: Client, run: str, layout: Layout = DAYS) -> Iterator[dict[str, str]]:
    """Make empty staging tables for the run, by table. Drop them at the end; if the run is killed, its retry drops them."""
    names = {table: staging_name(f"{layout.prefix}{table}", run) for table in layout.tables}
    try:
        for table, name in names.items():
            client.command(f"DROP TABLE IF EXISTS {name} SYNC")
            client.command(f"CREATE TABLE {name} AS warehouse.{layout.prefix}{table}")
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
    """Append FOLDER/*.parquet to a table.

    :raises TransformMissing: the folder holds no Parquet file
    """
    files = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith((".", "_")))
    if not files:
        raise TransformMissing(f"{folder} holds no Parquet file: did the transform run? Clear it to run it again")
    for file in files:
        load_file(client, table, column_names(client, table), file)


def load_file(client: Client, table: str, columns: list[str], file: Path) -> None:
    """Append one Parquet file's columns to a table, by name, as a stream."""
    with file.open("rb") as stream:
        client.raw_insert(table, columns, insert_block=stream, fmt="Parquet", settings=ANY_NUMBER_OF_DAYS)


def replace_partition(client: Client, target: str, source: str, partition: Mapping[str, str]) -> None:
    """Replace one partition of a table by another table's, atomically; one without rows becomes empty.

    :param target: the table, with its database, like `source`
    :param partition: column -> value, in the order of the tables' PARTITION BY
    """
    where = " AND ".join(f"{column} = {quoted(value)}" for column, value in partition.items())
    if query_number(client, f"SELECT count() FROM {source} WHERE {where}"):
        client.command(f"ALTER TABLE {target} REPLACE PARTITION {_partition(partition)} FROM {source}")
    else:  # ClickHouse refuses REPLACE PARTITION from an empty source
        drop_partition(client, target, partition)


def drop_partition(client: Client, table: str, partition: Mapping[str, str]) -> None:
    """Drop one partition of a table, named as `replace_partition` is told."""
    client.command(f"ALTER TABLE {table} DROP PARTITION {_partition(partition)}")


def _partition(partition: Mapping[str, str]) -> str:
    """Word a partition by its values: '2013-06-13', or ('2013-06-13', 'UA')."""
    values = ", ".join(quoted(value) for value in partition.values())
    return f"({values})" if len(partition) > 1 else values


def quoted(text: str) -> str:
    """Quote a text as a literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def query_number(client: Client, sql: str) -> int:
    """Return the one number that a query answers."""
    return int(client.query(sql).result_rows[0][0])


def column_names(client: Client, table: str) -> list[str]:
    """Return the columns of a table in their order."""
    return [name for (name,) in client.query(f"SELECT name FROM system.columns {_where_table(table)}").result_rows]


def _where_table(table: str) -> str:
    database, name = table.split(".")
    return f"WHERE database = '{database}' AND table = '{name}' ORDER BY position"
