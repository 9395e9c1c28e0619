"""Checks records of the feed against its contract, vectorised by Arrow.

An error names file, row and column, where *row* is the line of the file (header = 1).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache, partial
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.flights.contract import CONTRACT, PATTERNS, ROW, FeedError, File
from include.flights.days import ZONE


def map_values(values: pa.ChunkedArray, function: Callable[[pa.Array], pa.Array]) -> pa.ChunkedArray:
    """Apply a function to each value; in a column with a dictionary, once for each of its values. Missing stays missing."""
    if not pa.types.is_dictionary(values.type):
        return function(values)
    empty = function(pa.array([], values.type.value_type))
    return pa.chunked_array([function(part.dictionary).take(part.indices) for part in values.chunks], empty.type)


def integers(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read a column of texts as numbers; ArrowInvalid where one is none."""
    return map_values(values, lambda texts: pc.cast(texts, pa.int64()))


def check_records(name: str, source: str, table: pa.Table) -> None:
    """Check records against the contract of their file.

    :param name: key of CONTRACT
    :param source: the file's name, for messages
    :param table: every column as text, with a dictionary or without, plus ROW
    :raises FeedError: naming file, row, column and value of the first violation
    """

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
        wrong = [partial(_mismatch, pattern)] if pattern else []
        for is_wrong in wrong + {"zone": [_is_not_a_zone], "hour": [_is_not_an_hour]}.get(column.kind, []):
            refuse(map_values(values, is_wrong), column.name, f"is not {called}")

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
    """Return the table with plain texts in place of dictionaries."""
    dictionaries = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    for name in dictionaries:
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    return table


def _mismatch(pattern: str, texts: pa.Array) -> pa.Array:
    return pc.invert(pc.match_substring_regex(texts, pattern))


def _is_not_a_zone(texts: pa.Array) -> pa.Array:
    return pa.array([bool(zone) and zone not in _zones() for zone in texts.to_pylist()], pa.bool_())


def _is_not_an_hour(texts: pa.Array) -> pa.Array:
    return pc.is_null(pc.strptime(texts, format="%Y-%m-%dT%H:%M:%SZ", unit="s", error_is_null=True))


def _is_key(table: pa.Table, contract: File) -> bool:
    """Tell quickly whether the key is unique. False means: not sure, count the duplicates.

    Numbers are compared as numbers, which is many times faster than as texts; 7 and 007 are a reason to look closer.
    """
    kinds = {column.name: column.kind for column in contract.columns}
    code, product = np.zeros(table.num_rows, np.int64), 1
    if not table.num_rows:
        return True
    for column in contract.key:
        if table[column].null_count:
            return False
        if kinds[column] in ("int", "hhmm"):
            codes = integers(table[column]).to_numpy()  # nine digits at most, by its pattern
            distinct = int(codes.max()) - int(codes.min()) + 1
            codes = codes - codes.min()
        else:
            encoded = table[column].combine_chunks()
            encoded = encoded if pa.types.is_dictionary(encoded.type) else encoded.dictionary_encode()
            codes, distinct = encoded.indices.to_numpy(), len(encoded.dictionary)
        product *= distinct
        if product > np.iinfo(np.int64).max:
            return False
        code = code * distinct + codes
    code.sort()
    return not (code[1:] == code[:-1]).any()


def check_clock(source: str, table: pa.Table, start: datetime, end: datetime) -> None:
    """Check that the local clock columns and the UTC hour of `flights` tell the same time, inside the interval.

    :param table: `flights` records whose local date lies in the interval
    :raises FeedError: naming file, row and column
    """
    hours = pc.unique(table["time_hour"]).cast(pa.string())  # few: 24 a day
    instants = [datetime.fromisoformat(text) for text in hours.to_pylist()]
    outside = pa.array([text for text, at in zip(hours.to_pylist(), instants, strict=True) if not start <= at < end])
    if len(outside):
        first = pc.index(map_values(table["time_hour"], partial(pc.is_in, value_set=outside)), value=True).as_py()
        raise FeedError(
            f"{source}, row {table[ROW][first]}, column time_hour: {table['time_hour'][first].as_py()!r} is outside of "
            f"the data interval [{start.isoformat()}, {end.isoformat()}) that the row's local date belongs to"
        )
    local = [instant.astimezone(ZONE) for instant in instants]
    stamp = pa.array([((at.year * 100 + at.month) * 100 + at.day) * 100 + at.hour for at in local], pa.int64())
    said = pc.divide(integers(table["sched_dep_time"]), 100)
    for column, weight in (("day", 100), ("month", 10_000), ("year", 1_000_000)):
        said = pc.add(said, pc.multiply(integers(table[column]), weight))
    shown = map_values(table["time_hour"], lambda texts: stamp.take(pc.index_in(texts, hours)))
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
