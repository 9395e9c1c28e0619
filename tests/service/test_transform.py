"""The Spark job: every day of the year equals an independent computation from the raw CSV files."""

from pathlib import Path

import pandas as pd
import pytest

from include.flights import engine, transform
from include.flights import warehouse as loader
from include.flights.feed import default_feed, land_interval
from support import expected, interval

pytestmark = pytest.mark.claim("1.3")


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """All of 2013, landed."""
    return land_interval(default_feed(), tmp_path_factory.mktemp("year"), *interval("2013-01-01", 365), run="year")


@pytest.fixture(scope="module")
def year(spark, landed):
    """Return what the job writes for all of 2013 in one run, as pandas."""
    rows = transform.main(landed["folder"], spark)
    assert rows["flights"] == rows["delay_features"] == landed["rows"] == len(expected.raw("flights.csv.zip"))
    return {table: pd.read_parquet(f"{landed['folder']}/transformed/{table}") for table in transform.OUTPUTS}


def test_the_engine_and_spark_agree_in_every_row_and_bit_of_the_year(year, landed, warehouse):
    engine.transform_files(warehouse, Path(landed["folder"]))
    for table, key in loader.KEYS.items():
        by_spark = year[table].sort_values(list(key)).reset_index(drop=True)
        by_engine = pd.read_parquet(f"{landed['folder']}/transformed/{table}").sort_values(list(key))
        assert len(by_engine) > 11_000
        for column in by_spark:
            ours, theirs = by_engine[column].reset_index(drop=True), by_spark[column]
            if pd.api.types.is_datetime64_any_dtype(theirs):
                ours = pd.to_datetime(ours, unit=None if pd.api.types.is_datetime64_any_dtype(ours) else "s", utc=True)
                theirs = pd.to_datetime(theirs, utc=True)
            same = (ours == theirs) | (ours.isna() & theirs.isna())
            assert same.all(), f"{table}.{column}: {ours[~same].iloc[0]!r} for {theirs[~same].iloc[0]!r}"


def test_every_flight_of_the_year_equals_pandas(year):
    expected.assert_equal(year["flights"], expected.flights("2013-01-01", "2013-12-31"), expected.FLIGHT_KEY)


def test_every_daily_delay_of_the_year_equals_pandas(year):
    wanted = expected.daily_delays("2013-01-01", "2013-12-31")
    assert len(wanted) > 11_000
    expected.assert_equal(year["daily_delays"], wanted, expected.DAILY_DELAYS_KEY)


def test_the_natural_key_is_unique_over_the_year(year):
    assert not year["flights"].duplicated(expected.FLIGHT_KEY).any()


def test_utc_instants_agree_with_the_feeds_own_utc_hour(year):
    raw = expected.raw("flights.csv.zip")
    raw["sched_dep_utc"] = pd.to_datetime(raw["time_hour"]) + pd.to_timedelta(raw["minute"], unit="min")
    keys = expected.FLIGHT_KEY
    assert set(raw[keys].itertuples(index=False)) == set(year["flights"][keys].itertuples(index=False))


def test_what_cannot_be_joined_is_kept_and_told_apart_from_what_is_not_observed(year):
    flights, raw = year["flights"], expected.raw("flights.csv.zip")
    known = set(expected.raw("planes.csv")["tailnum"])
    assert (~flights["plane_known"]).sum() == (~raw["tailnum"].isin(known)).sum() == 52_606
    assert (~flights["weather_known"]).sum() == 1_556  # hours without a report
    assert flights["temp"].isna().sum() == 1_573  # and 17 flights whose hour's report has no temperature
    assert set(flights.loc[flights["sched_arr_utc"].isna(), "dest"]) == {"BQN", "SJU", "STT", "PSE"}


def test_features_know_nothing_from_after_the_departure(year):
    features = year["delay_features"]
    observed = {"dep_delay", "arr_delay", "air_time", "cancelled", "dep_time", "arr_time", "source_row"}
    assert not observed & set(features.columns)
    late = expected.flights("2013-01-01", "2013-12-31").set_index(expected.FLIGHT_KEY)["arr_delay"]
    ours = features.set_index(pd.MultiIndex.from_frame(features[expected.FLIGHT_KEY]))["late"].reindex(late.index)
    assert ours.isna().equals(late.isna())
    assert (ours[ours.notna()].astype(bool) == (late[late.notna()] > 15)).all()


def test_departures_in_an_hour_are_counted_per_airport(year):
    flights = expected.flights("2013-01-01", "2013-12-31")
    flights["hour"] = flights["sched_dep_utc"].dt.floor("h")
    wanted = flights.groupby(["origin", "hour"])["flight"].transform("size").rename("wanted")
    features = year["delay_features"].assign(sched_dep_utc=lambda t: pd.to_datetime(t["sched_dep_utc"], utc=True))
    both = features.merge(flights[expected.FLIGHT_KEY].assign(wanted=wanted), on=expected.FLIGHT_KEY, validate="1:1")
    assert len(both) == len(flights)
    assert (both["departures_in_hour"] == both["wanted"]).all()


@pytest.mark.claim("1.5")
def test_a_text_that_is_no_number_is_an_error_and_not_a_null(spark, tmp_path, make_feed):
    import pyarrow as pa
    import pyarrow.parquet as pq

    landed = land_interval(make_feed(), tmp_path, *interval("2013-06-13"), run="bad")
    file = f"{landed['folder']}/landing/flights.parquet"
    table = pq.read_table(file)
    values = table["distance"].to_pylist()
    values[7] = "far"
    pq.write_table(table.set_column(table.schema.get_field_index("distance"), "distance", pa.array(values)), file)
    with pytest.raises(Exception, match="'far' of the type \"STRING\" cannot be cast"):
        transform.main(landed["folder"], spark)


@pytest.mark.claim("1.4")
def test_an_attempt_never_touches_the_files_of_another(spark, tmp_path, make_feed):
    """The job of a killed task may end after its retry: both leave whole results, and the link leads to one of them."""
    landed = land_interval(make_feed(), tmp_path, *interval("2013-06-13"), run="twice")
    link = tmp_path / landed["folder"] / "transformed"
    transform.main(landed["folder"], spark)
    first = link.resolve()
    before = {file: file.read_bytes() for file in first.rglob("*.parquet")}
    transform.main(landed["folder"], spark)
    assert link.resolve() != first
    assert {file: file.read_bytes() for file in first.rglob("*.parquet")} == before
    assert pd.read_parquet(link / "flights").equals(pd.read_parquet(first / "flights"))


def test_a_clock_that_happens_twice_is_decided_by_the_utc_hour(spark, tmp_path, make_feed):
    """On 2013-11-03 01:30 happens at 05:30 and 06:30 UTC in New York; no real flight departs then, so two are made."""

    def twice(text: str) -> str:
        lines = text.splitlines()
        header, cells = lines[0].split(","), lines[1].split(",")
        for column, value in (("sched_dep_time", "130"), ("hour", "1"), ("minute", "30"), ("flight", "1")):
            cells[header.index(column)] = value
        hours = ("2013-11-03T05:00:00Z", "2013-11-03T06:00:00Z")
        made = []
        for hour in hours:
            cells[header.index("time_hour")] = hour
            made.append(",".join(cells))
        return "\n".join([*lines, *made]) + "\n"

    landed = land_interval(make_feed("2013-11-03", flights=twice), tmp_path, *interval("2013-11-03"), run="fold")
    transform.main(landed["folder"], spark)
    flights = pd.read_parquet(f"{landed['folder']}/transformed/flights")
    ours = sorted(flights.loc[flights["source_row"] > landed["rows"] - 1, "sched_dep_utc"].astype(str))
    assert ours == ["2013-11-03 05:30:00", "2013-11-03 06:30:00"] or ours == [
        "2013-11-03 05:30:00+00:00",
        "2013-11-03 06:30:00+00:00",
    ]
