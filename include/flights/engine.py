"""Does the Spark job's work in the warehouse's own engine, for partitions too small to be worth a Spark application.

Same inputs and outputs as transform.py, as tables or in the same folders; the SQL is in sql/engine. A day takes a second instead
of twelve.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from include.flights import publish, warehouse
from include.flights.contract import CONTRACT, ROW
from include.flights.transform import INPUTS, OUTPUTS, new_attempt, point_to

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SQL = Path(__file__).resolve().parent / "sql" / "engine"
# A join's missing side is NULL, as in standard SQL, and not the type's default.
SETTINGS = {
    "join_use_nulls": 1,
    "short_circuit_function_evaluation": "enable",
    "output_format_parquet_compression_method": "zstd",
    # What is read once and whole needs no index: a quarter less CPU.
    "output_format_parquet_write_bloom_filter": 0,
    "output_format_parquet_write_page_index": 0,
}

# Types by Column.many. A column with few distinct values is LowCardinality, so that a function runs once for each value.
TEXT_TYPES = {False: "LowCardinality(Nullable(String))", True: "Nullable(String)"}


@contextmanager
def computed_tables(client: Client, folder: Path) -> Iterator[dict[str, int]]:
    """Transform what lies in FOLDER/landing into temporary tables, called as in OUTPUTS, that are dropped at the end.

    :param client: of the warehouse, with a session
    :returns: rows, per table
    :raises FileNotFoundError: nothing has landed
    :raises clickhouse_connect.driver.exceptions.DatabaseError: a value cannot be read as its type
    """
    for name in INPUTS:
        file = folder / "landing" / f"{name}.parquet"
        columns = pq.read_schema(file).names
        types = {ROW: "UInt64"} | {column.name: TEXT_TYPES[column.many] for column in CONTRACT[name].columns}
        typed = ", ".join(f"{column} {types[column]}" for column in columns)
        client.command(f"CREATE OR REPLACE TEMPORARY TABLE feed_{name} ({typed}) ENGINE = Memory")
        warehouse.load_file(client, f"feed_{name}", columns, file)
    rows = {}
    for output in OUTPUTS:
        query = (SQL / f"{output}.sql").read_text()
        client.command(f"CREATE OR REPLACE TEMPORARY TABLE {output} ENGINE = Memory AS {query}", settings=SETTINGS)
        rows[output] = int(client.query(f"SELECT count() FROM {output}").result_rows[0][0])
    yield rows
    for table in (*(f"feed_{name}" for name in INPUTS), *OUTPUTS):
        client.command(f"DROP TEMPORARY TABLE {table}")


def transform_files(client: Client, folder: Path) -> dict[str, int]:
    """Transform FOLDER/landing; FOLDER/transformed becomes a link to the result once that is complete.

    Spark's job does the same. Errors are those of `computed_tables`.

    :returns: rows written, per table
    """
    attempt = new_attempt(folder)
    with computed_tables(client, folder) as rows:
        for output in OUTPUTS:
            target = attempt / output
            target.mkdir()
            (target / "part-0.parquet").write_bytes(
                client.raw_query(f"SELECT * FROM {output}", fmt="Parquet", settings=SETTINGS)
            )
    point_to(attempt, folder / "transformed")
    return rows


def transform_and_publish(
    client: Client, landed: Mapping[str, Any], run: str, layers: Collection[str] | None = None, layout: str = "chunks"
) -> dict[str, object]:
    """Transform what landed in the warehouse's own engine and publish it: the Spark path's work, at once.

    :param landed: what `feed.land_interval` returned for the chunk
    :param run: identifies the DAG run
    :param layout: a key of `warehouse.LAYOUTS`
    :returns: what `publish_day` does
    :raises ValidationError: nothing was published
    """
    first, last = (date.fromisoformat(landed[edge]) for edge in ("first_day", "last_day"))
    chosen = (warehouse.LAYOUTS[layout], landed["slice"], layers)
    with computed_tables(client, Path(landed["folder"])):
        return publish.publish_day(client, None, first, last, landed["rows"], run, *chosen)
