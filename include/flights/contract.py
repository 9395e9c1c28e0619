"""The contract of the feed: which files and columns it has, what their values mean, and how a row may look.

The feed is the data set *nycflights13* (every flight that left New York's three airports in 2013; source: RITA,
Bureau of Transportation Statistics). Local clock columns are in America/New_York, `time_hour` is in UTC.
`check` is vectorised (Arrow); an error names file, row and column, where *row* is the line of the file (header = 1).
The file is longer than others since a third of it is the table of columns, which belongs beside the checks that use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

from include.errors import PermanentError

if TYPE_CHECKING:
    import pyarrow as pa

ZONE = ZoneInfo("America/New_York")
ROW = "source_row"  # the column that `feed` adds: the line of the file that a record came from


def midnight(day: date) -> datetime:
    """The instant at which a local day begins in New York."""
    return datetime.combine(day, datetime.min.time(), ZONE)


class FeedError(PermanentError, ValueError):
    """The feed breaks its contract; trying again cannot help. The text names file, row and column."""


class FeedMissing(FileNotFoundError):
    """A file of the feed is not there (yet); trying again may help."""


@dataclass(frozen=True)
class Column:
    """One column of a feed file. `kind` is a key of PATTERNS; `unit` and `meaning` are for readers.

    `many`: a large feed has so many different values that a dictionary of them would not pay.
    """

    name: str
    kind: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    many: bool = False


@dataclass(frozen=True)
class File:
    """One file of the feed: its columns and the columns that identify a record."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


# kind -> (regular expression of a valid text, how the error calls it)
PATTERNS = {
    "int": (r"^-?[0-9]{1,9}$", "an integer"),
    "float": (r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", "a number"),
    "hhmm": (r"^(([01]?[0-9]|2[0-3])?[0-5]?[0-9]|2400)$", "a clock time hhmm"),
    "code": (r"^[A-Z0-9]{1,8}$", "a code of capital letters and digits"),
    "hour": (r"^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:00:00Z$", "a full hour in UTC (YYYY-MM-DDThh:00:00Z)"),
    "zone": (r"^[A-Za-z_+\-0-9/]+$", "a time zone of the IANA database"),
    "text": (r"", "text"),
}

CONTRACT = {
    file.name: file
    for file in (
        File(
            "flights",
            (
                Column("year", "int", "local date of the scheduled departure"),
                Column("month", "int", "local date of the scheduled departure"),
                Column("day", "int", "local date of the scheduled departure"),
                Column("dep_time", "hhmm", "actual departure, local; missing: cancelled", nullable=True),
                Column("sched_dep_time", "hhmm", "scheduled departure, local"),
                Column("dep_delay", "int", "actual - scheduled departure", "minutes", nullable=True),
                Column("arr_time", "hhmm", "actual arrival, local at the destination", nullable=True),
                Column("sched_arr_time", "hhmm", "scheduled arrival, local at the destination"),
                Column("arr_delay", "int", "actual - scheduled arrival", "minutes", nullable=True),
                Column("carrier", "code", "airline, IATA code"),
                Column("flight", "int", "flight number", many=True),
                Column("tailnum", "code", "aircraft's registration", nullable=True),
                Column("origin", "code", "departure airport, FAA code"),
                Column("dest", "code", "arrival airport, FAA code"),
                Column("air_time", "int", "time in the air", "minutes", nullable=True),
                Column("distance", "int", "distance between the airports", "miles"),
                Column("hour", "int", "hour of sched_dep_time"),
                Column("minute", "int", "minute of sched_dep_time"),
                Column("time_hour", "hour", "the hour of the scheduled departure", "UTC"),
            ),
            ("time_hour", "sched_dep_time", "carrier", "flight"),
        ),
        File(
            "weather",
            (
                Column("origin", "code", "airport of the station, FAA code"),
                Column("temp", "float", "temperature", "F", nullable=True),
                Column("dewp", "float", "dew point", "F", nullable=True),
                Column("humid", "float", "relative humidity", "%", nullable=True),
                Column("wind_dir", "float", "wind direction", "degrees", nullable=True),
                Column("wind_speed", "float", "wind speed", "mph", nullable=True),
                Column("wind_gust", "float", "wind gust speed", "mph", nullable=True),
                Column("precip", "float", "precipitation", "inches", nullable=True),
                Column("pressure", "float", "sea-level pressure", "millibars", nullable=True),
                Column("visib", "float", "visibility", "miles", nullable=True),
                Column("time_hour", "hour", "the hour of the observation", "UTC"),
            ),
            ("origin", "time_hour"),
        ),
        File(
            "planes",
            (
                Column("tailnum", "code", "aircraft's registration"),
                Column("year", "int", "year of manufacture", nullable=True),
                Column("manufacturer", "text", "manufacturer", nullable=True),
                Column("model", "text", "model", nullable=True),
                Column("engines", "int", "number of engines", nullable=True),
                Column("seats", "int", "number of seats", nullable=True),
            ),
            ("tailnum",),
        ),
        File(
            "airports",
            (
                Column("faa", "code", "airport, FAA code"),
                Column("tzone", "zone", "IANA time zone", nullable=True),
            ),
            ("faa",),
        ),
    )
}


def check_header(name: str, source: str, found: list[str]) -> None:
    """Compare a file's header with the contract. Unknown columns are allowed; a missing one is a FeedError."""
    expected = [column.name for column in CONTRACT[name].columns]
    missing = [column for column in expected if column not in found]
    if not missing:
        return
    known = ["year", "month", "day", "hour", "type", "speed", "engine", "name", "lat", "lon", "alt", "tz", "dst"]
    unknown = [column for column in found if column not in expected and column not in known]
    hint = f"; unknown column{'s' * (len(unknown) > 1)} {', '.join(unknown)}: renamed?" if unknown else ""
    raise FeedError(f"{source}, row 1: column {', '.join(missing)} is missing{hint}")


def by_value(values: pa.ChunkedArray, function: Callable[[pa.Array], pa.Array]) -> pa.ChunkedArray:
    """A function of each value; of a column with a dictionary computed once for each of its values. Missing stays missing."""
    import pyarrow as pa

    if not pa.types.is_dictionary(values.type):
        return function(values)
    empty = function(pa.array([], values.type.value_type))
    return pa.chunked_array([function(part.dictionary).take(part.indices) for part in values.chunks], empty.type)


def integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts as numbers; ArrowInvalid where one is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return by_value(values, lambda texts: pc.cast(texts, pa.int64()))


def check(name: str, source: str, table: pa.Table) -> None:
    """Check records against the contract of their file.

    :param name: key of CONTRACT
    :param source: the file's name, for messages
    :param table: every column as text, with a dictionary or without, plus ROW
    :raises FeedError: naming file, row, column and value of the first violation
    """
    import pyarrow.compute as pc

    def refuse(bad: pa.Array | pa.ChunkedArray, column: str, why: str) -> None:
        position = pc.index(bad, value=True).as_py()
        if position >= 0:
            row, value = table[ROW][position].as_py(), table[column][position].as_py()
            others = pc.sum(bad).as_py() - 1
            more = f" (and {others:,} more row{'s' * (others > 1)})" if others else ""
            raise FeedError(f"{source}, row {row}, column {column}: {value!r} {why}{more}")

    contract = CONTRACT[name]
    for column in contract.columns:
        values = table[column.name]
        if not column.nullable:
            refuse(pc.is_null(values), column.name, "is missing and may not be")
        pattern, called = PATTERNS[column.kind]
        if pattern:
            refuse(by_value(values, partial(_mismatch, pattern)), column.name, f"is not {called}")
        if column.kind == "zone":
            refuse(by_value(values, _no_zone), column.name, f"is not {called}")
        if column.kind == "hour":
            refuse(by_value(values, _no_hour), column.name, f"is not {called}")

    if _is_key(table, contract):
        return
    seen = decoded(table).group_by(list(contract.key)).aggregate([(ROW, "count"), (ROW, "max"), (ROW, "min")])
    twice = seen.filter(pc.greater(seen[f"{ROW}_count"], 1)).sort_by(f"{ROW}_max")
    if twice.num_rows:
        first = twice.slice(0, 1).to_pylist()[0]
        key = ", ".join(f"{column} {first[column]!r}" for column in contract.key)
        raise FeedError(
            f"{source}, row {first[f'{ROW}_max']}, column {contract.key[0]}: duplicate key ({key}), "
            f"first in row {first[f'{ROW}_min']}"
        )


def decoded(table: pa.Table) -> pa.Table:
    """The table with plain texts in place of dictionaries."""
    import pyarrow as pa

    dictionaries = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    for name in dictionaries:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _mismatch(pattern: str, texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.invert(pc.match_substring_regex(texts, pattern))


def _no_zone(texts: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.array([bool(zone) and zone not in _zones() for zone in texts.to_pylist()], pa.bool_())


def _no_hour(texts: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.is_null(pc.strptime(texts, format="%Y-%m-%dT%H:%M:%SZ", unit="s", error_is_null=True))


def _is_key(table: pa.Table, contract: File) -> bool:
    """Tell whether the key's columns tell all records apart. False where they have too many values to be numbered: look closer.

    Numbers are compared as numbers, which is many times faster than as texts; 7 and 007 are a reason to look closer.
    """
    import numpy as np
    import pyarrow as pa

    kinds = {column.name: column.kind for column in contract.columns}
    number, values = np.zeros(table.num_rows, np.int64), 1
    if not table.num_rows:
        return True
    for column in contract.key:
        if table[column].null_count:
            return False
        if kinds[column] in ("int", "hhmm"):
            codes = integers(table[column]).to_numpy()  # nine digits at most, by its pattern
            many = int(codes.max()) - int(codes.min()) + 1
            codes = codes - codes.min()
        else:
            encoded = table[column].combine_chunks()
            encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
            codes, many = encoded.indices.to_numpy(), len(encoded.dictionary)
        values *= many
        if values > np.iinfo(np.int64).max:
            return False
        number = number * many + codes
    number.sort()
    return not (number[1:] == number[:-1]).any()


def check_clock(source: str, table: pa.Table, start: datetime, end: datetime) -> None:
    """Check that the local clock columns and the UTC hour of `flights` tell the same time, inside the interval.

    :param table: `flights` records whose local date lies in the interval
    :raises FeedError: naming file, row and column
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    hours = pc.unique(table["time_hour"]).cast(pa.string())  # few: 24 a day
    instants = [datetime.fromisoformat(text) for text in hours.to_pylist()]
    outside = pa.array([text for text, at in zip(hours.to_pylist(), instants, strict=True) if not start <= at < end])
    if len(outside):
        first = pc.index(by_value(table["time_hour"], partial(pc.is_in, value_set=outside)), value=True).as_py()
        raise FeedError(
            f"{source}, row {table[ROW][first]}, column time_hour: {table['time_hour'][first].as_py()!r} is outside of "
            f"the data interval [{start.isoformat()}, {end.isoformat()}) that the row's local date belongs to"
        )
    local = [instant.astimezone(ZONE) for instant in instants]
    stamp = pa.array([((at.year * 100 + at.month) * 100 + at.day) * 100 + at.hour for at in local], pa.int64())
    said = pc.divide(integers(table["sched_dep_time"]), 100)
    for column, weight in (("day", 100), ("month", 10_000), ("year", 1_000_000)):
        said = pc.add(said, pc.multiply(integers(table[column]), weight))
    shown = by_value(table["time_hour"], lambda texts: stamp.take(pc.index_in(texts, hours)))
    at = pc.index(pc.equal(said, shown), value=False).as_py()
    if at >= 0:
        row = table.slice(at, 1).to_pylist()[0]
        clock = datetime.fromisoformat(row["time_hour"]).astimezone(ZONE)
        raise FeedError(
            f"{source}, row {row[ROW]}, column time_hour: {row['time_hour']!r} is {clock:%Y-%m-%d %H}h in {ZONE.key}, "
            f"but the row says {row['year']}-{row['month']}-{row['day']} and sched_dep_time {row['sched_dep_time']!r}"
        )


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
