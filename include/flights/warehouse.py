"""The loader: staging table -> validation -> atomic REPLACE PARTITION, in ClickHouse (a server or chDB alike).

A partition is one local day. Every table of a day is loaded and validated in staging before the first partition is
replaced, so a reader sees the old day or the new one and a bad day never shows. Doing it again gives the same contents.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import PermanentError
from include.waiting import Deadline

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
# All rows and columns in two numbers, whatever the order of the rows. By way of text: a hash of a NULL is NULL, and a sum
# passes over it.
FINGERPRINT = "count() AS rows, hex(sum(cityHash64(toString(tuple(*))))) AS hash"
STAGING = "staging__"
ANY_NUMBER_OF_DAYS = {"max_partitions_per_insert_block": 0}  # ClickHouse refuses more than 100 by default
FORGOTTEN = timedelta(days=1)  # a staging table of this age belongs to a run that will not come back


class ValidationError(PermanentError, ValueError):
    """Says that what was staged may not be published. The published partition is untouched."""


class WarehouseUnavailable(ConnectionError):
    """ClickHouse is down, or another process holds the embedded engine. Trying again may help."""


@contextmanager
def connect(
    get_client: Callable[[], Client], path: str | None = None, patience: float | Deadline = 60
) -> Iterator[Client]:
    """Open the warehouse, waiting while it is down or held.

    :param get_client: opens it, e.g. `ClickHouseHook().get_client`
    :param path: of the embedded engine, which one process may hold at a time; None for a server
    :param patience: seconds to wait (include/waiting.py)
    :raises WarehouseUnavailable: saying who holds it, or why it does not answer
    """
    from clickhouse_connect.driver.exceptions import Error
    from tenacity import Retrying, before_sleep_log, retry_if_exception_type, wait_exponential

    def attempt() -> Client:
        if path and (holder := held_by(Path(path))):
            raise WarehouseUnavailable(f"the embedded warehouse {path} is held by {holder}: wait for it, or end it")
        try:
            client = get_client()
            client.command("SELECT 1")
        except (Error, OSError) as error:
            raise WarehouseUnavailable(f"the warehouse does not answer: {error}") from error
        return client

    def attempt_alone() -> Client:
        with _only_opener(path):
            return attempt()

    deadline = Deadline.of(patience)
    client = Retrying(
        retry=retry_if_exception_type(WarehouseUnavailable),
        stop=lambda _: deadline.passed(),
        wait=wait_exponential(multiplier=0.2, max=5),
        before_sleep=before_sleep_log(log, logging.WARNING),
        reraise=True,
    )(attempt_alone)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _only_opener(path: str | None) -> Iterator[None]:
    """Open an embedded engine in one process at a time.

    The engine has a lock of its own, but writes an error to the terminal when it finds it taken. `held_by` looks first, and
    this keeps others from taking the lock between the look and the opening.

    :raises WarehouseUnavailable: another process is opening it
    """
    if path is None:
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{path}.opening").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WarehouseUnavailable(
                f"another process is opening the embedded warehouse {path}: wait for it"
            ) from None
        yield


def held_by(path: Path) -> str | None:
    """Name the other process that holds the embedded engine at `path`, in words; None when this one can open it.

    One process may have any number of clients of one engine.
    """
    try:
        with (path / "status").open("rb") as status:
            try:
                fcntl.flock(status, fcntl.LOCK_SH | fcntl.LOCK_NB)  # the engine holds an exclusive lock on it
            except BlockingIOError:
                holder = re.search(r"PID: (\d+)", status.read().decode(errors="replace"))
                if holder is None:
                    return "another process"
                return f"process {holder[1]}" if int(holder[1]) != os.getpid() else None
    except FileNotFoundError:
        pass
    return None


def embedded(client: Client) -> bool:
    """Tell whether the client's engine runs in this process (chDB) and so reads this machine's files."""
    return str(client.uri).startswith("chdb:")


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
    """Empty staging tables for the run, by table; dropped at the end, or by the retry of a run that was killed."""
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
    """Append FOLDER/*.parquet to a table: read in place by the embedded engine, streamed to a server.

    :raises FileNotFoundError: the folder holds no Parquet file
    """
    files = sorted(path for path in folder.glob("*.parquet") if not path.name.startswith((".", "_")))
    if not files:
        raise FileNotFoundError(f"{folder} holds no Parquet file: did the transform run? Clear it to run it again")
    for file in files:
        load_file(client, table, _columns(client, table), file)


def load_file(client: Client, table: str, columns: list[str], file: Path) -> None:
    """Append one Parquet file's columns to a table, by name."""
    names = ", ".join(columns)
    if embedded(client):
        sql = f"INSERT INTO {table} ({names}) SELECT {names} FROM file({quoted(str(file))}, 'Parquet')"
        client.command(sql, settings=ANY_NUMBER_OF_DAYS)
    else:
        with file.open("rb") as stream:
            client.raw_insert(table, columns, insert_block=stream, fmt="Parquet", settings=ANY_NUMBER_OF_DAYS)


def replace_partition(client: Client, target: str, source: str, partition: Mapping[str, str]) -> None:
    """Replace one partition of a table by another table's, atomically; one without rows becomes empty.

    :param target: the table, with its database, like `source`
    :param partition: column -> value, in the order of the tables' PARTITION BY
    """
    values = f"({', '.join(quoted(value) for value in partition.values())})"
    where = " AND ".join(f"{column} = {quoted(value)}" for column, value in partition.items())
    expression = values if len(partition) > 1 else values.strip("()")
    if _number(client, f"SELECT count() FROM {source} WHERE {where}"):
        client.command(f"ALTER TABLE {target} REPLACE PARTITION {expression} FROM {source}")
    else:  # ClickHouse refuses REPLACE PARTITION from an empty source
        client.command(f"ALTER TABLE {target} DROP PARTITION {expression}")


def quoted(text: str) -> str:
    """Quote a text as a literal of ClickHouse's SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _number(client: Client, sql: str) -> int:
    return int(client.query(sql).result_rows[0][0])


def _columns(client: Client, table: str) -> list[str]:
    return [name for (name,) in client.query(f"SELECT name FROM system.columns {_of(table)}").result_rows]


def _of(table: str) -> str:
    database, name = table.split(".")
    return f"WHERE database = '{database}' AND table = '{name}' ORDER BY position"
