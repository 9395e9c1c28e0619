"""Makes a feed of any size from the real flights. It is seeded and vectorised, and keeps the real feed's contract.

A generated feed is a folder with a feed a day, FOLDER/2013-06-13/{flights,weather,planes,airports}.csv, and that
day's control totals (include/flights/generated.py), which are taken from the arrays before anything is written. A
day's flights are copied: copy 0 is the day as it was, copy n has the flight numbers of the day plus n * 10,000, and
delays that differ from the real ones by up to NOISE minutes. So schedule, aircraft, cancellations and dirt are the
real ones, and so is what can be joined.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date, timedelta
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.parquet as pq

from include.files import atomic_replacement
from include.flights.contract import ROW
from include.flights.days import midnight
from include.flights.feed import default_feed, read_interval
from include.flights.generated import CONTROL_FILE, TOTALLED, Chunk

FORMATS = ("csv", "parquet")
BLOCK = 50  # copies that are made at a time; another number is another feed
NOISE = 5  # minutes
BYTES_A_COPY = 90_000  # of CSV, about: a day of a thousand flights
FLIGHT_NUMBERS = 10_000  # real ones are smaller
MOST_COPIES = 100_000  # a flight number has at most nine digits


def generate(
    folder: Path,
    days: Iterable[date],
    copies: int,
    seed: int = 2013,
    fmt: str = "csv",
    feed: Path | None = None,
    progress: Callable[[int], object] = lambda raw_bytes: None,
) -> list[Chunk]:
    """Make a feed a day below `folder`. The same arguments make the same bytes; what is there already is replaced.

    :param copies: how often each flight of a day is there, 1 to MOST_COPIES
    :param fmt: of the flights, one of FORMATS; the small files are CSV
    :param feed: the feed that is copied; the real one when None
    :param progress: told the bytes of CSV that have been made since the last call
    :raises ValueError: an argument is out of range
    """
    if not 1 <= copies <= MOST_COPIES:
        raise ValueError(f"{copies} copies: a feed has 1 to {MOST_COPIES:,}")
    if fmt not in FORMATS:
        raise ValueError(f"{fmt!r} is no format of a feed: there are {', '.join(FORMATS)}")
    return [_generate_day(folder / str(day), day, copies, seed, fmt, feed or default_feed(), progress) for day in days]


def _generate_day(
    folder: Path, day: date, copies: int, seed: int, fmt: str, feed: Path, progress: Callable[[int], object]
) -> Chunk:

    tables = read_interval(feed, midnight(day), midnight(day + timedelta(days=1)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTROL_FILE).unlink(missing_ok=True)  # what is killed here leaves no feed that looks whole
    for old in folder.glob("flights.*"):
        old.unlink()
    for name in ("weather", "planes", "airports"):
        csv.write_csv(tables[name].drop([ROW]), folder / f"{name}.csv")
    totals = dict.fromkeys(TOTALLED, 0)
    rows = cancelled = raw = 0
    with ExitStack() as stack:
        part = stack.enter_context(atomic_replacement(folder / f"flights.{fmt}"))
        file = stack.enter_context(part.open("wb"))
        writer: Any = None
        for table in _blocks(tables["flights"].drop([ROW]), day, copies, seed):
            text = BytesIO(b"" if rows else f"{','.join(table.column_names)}\n".encode())
            text.seek(0, SEEK_END)
            csv.write_csv(table, text, csv.WriteOptions(include_header=False, quoting_style="none"))
            if fmt == "csv":
                file.write(text.getbuffer())
            else:
                writer = writer or stack.enter_context(pq.ParquetWriter(file, table.schema, compression="zstd"))
                writer.write_table(table)
            rows += table.num_rows
            raw += text.tell()
            cancelled += table["dep_time"].null_count
            for name in TOTALLED:
                totals[name] += pc.sum(pc.cast(table[name], "int64")).as_py() or 0
            progress(text.tell())
    chunk = Chunk(str(day), str(folder), copies, rows, raw, cancelled, totals)
    (folder / CONTROL_FILE).write_text(json.dumps(asdict(chunk), indent=2) + "\n")
    return chunk


def _blocks(flights: pa.Table, day: date, copies: int, seed: int) -> Iterator[pa.Table]:
    """Yield the day's flights, BLOCK copies at a time; a feed of fewer copies is the beginning of one with more."""

    def number(column: str) -> Any:
        return flights[column].cast(pa.float64()).to_numpy()  # NaN where it is missing

    for first in range(0, copies, BLOCK):
        many = min(BLOCK, copies - first)
        shape = BLOCK, flights.num_rows
        random = np.random.default_rng([seed, day.toordinal(), first])
        noise = {name: random.integers(-NOISE, NOISE + 1, shape) for name in ("dep_delay", "arr_delay", "air_time")}
        if first == 0:
            for each in noise.values():
                each[0] = 0
        changed = {name: number(name) + noise[name][:many] for name in noise}
        changed["air_time"] = np.maximum(changed["air_time"], 1)
        for delay, clock in (("dep_delay", "dep_time"), ("arr_delay", "arr_time")):
            then = number(clock)
            minutes = then // 100 * 60 + then % 100 + np.where(np.isnan(changed[delay]), 0, noise[delay][:many])
            moved = np.where(noise[delay][:many] == 0, then, minutes % 1440 // 60 * 100 + minutes % 1440 % 60)
            changed[clock] = moved
        changed["flight"] = number("flight") + FLIGHT_NUMBERS * np.arange(first, first + many)[:, None]
        block = pa.concat_tables([flights] * many)
        for name, values in changed.items():
            flat = values.ravel()
            missing = np.isnan(flat)
            column = pa.array(np.where(missing, 0, flat).astype(np.int64), mask=missing)
            block = block.set_column(block.schema.get_field_index(name), name, column)
        yield block
